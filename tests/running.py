"""Running `mckd` as users do, in a process of its own, on an experiment small enough for a test."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import yaml

TINY_TAGGER = {
    "kind": "tagger",
    "scratch": {"width": 16, "layers": 1, "heads": 2, "vocabulary": 500},
    "training": {"steps": 40, "batch_size": 8},
}
TINY: dict[str, Any] = {
    "task": {"kind": "constituency"},
    "corpus": {
        "format": "builtin",
        "labelled": 20,
        "pool": 120,
        "dev": 20,
        "test": 30,
        "general": {"format": "builtin", "rows": 100},
    },
    "teacher": {"engine": "student", "shots": 20, "student": TINY_TAGGER},
    "student": {**TINY_TAGGER, "intermediate": {"steps": 400}},
    "plan": {"stages": 2, "systems": ["teacher", "kd", "mckd"]},
    "resources": {"labelling": {"chunk": 16}},
}


@dataclass
class Experiment:
    """An experiment in a folder of its own."""

    folder: Path
    config: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    """What the process has beside this one's environment; without RAY_ADDRESS, it starts a Ray of its own."""

    @property
    def steps(self) -> Path:
        """The store's folder of steps."""
        return self.folder / "runs" / "steps"

    def start(self, *overrides: str, command: str = "run") -> "subprocess.Popen[str]":
        """Start `mckd run`, or another command, on it."""
        path = self.folder / "tiny.yaml"
        path.write_text(yaml.safe_dump(self.config))
        arguments = [argument for override in overrides for argument in ("-o", override)]
        return subprocess.Popen(
            [sys.executable, "-m", "mckd_ray.cli", *command.split(), str(path), *arguments],
            cwd=self.folder,
            env={key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *overrides: str) -> dict[str, Any]:
        """Run it to its end and return its result."""
        process = self.start(*overrides)
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output
        return self.result()

    def label(self, *overrides: str, options: str = "") -> dict[str, Any]:
        """Let `mckd label` run to its end, and return what it says."""
        process = self.start(*overrides, command=f"label --json {options}")
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output
        said: dict[str, Any] = json.loads(output[output.index("{\n") :])
        return said

    def label_until_killed(self) -> None:
        """Start `mckd label`; kill the engine's actor twice and then the driver, each once more answers are on disk.

        Returns when all of its processes that ask have ended.
        """
        driver = self.start(command="label")
        for kill_engine in (True, True, False):
            wait_for(partial(self._has_more_than, len(self.book())), driver)
            if kill_engine:
                processes_below(driver.pid, "ray::EngineActor")[0].kill()
        asking = processes_below(driver.pid, "ray::")
        driver.kill()
        driver.communicate()
        psutil.wait_procs(asking)  # They notice only after a while that the driver is gone.

    def _has_more_than(self, answers: int) -> bool:
        return len(self.book()) > answers

    def result(self) -> dict[str, Any]:
        """What the last run left."""
        result: dict[str, Any] = json.loads((self.folder / "runs" / "tiny" / "result.json").read_text())
        return result

    def records(self) -> dict[str, dict[str, Any]]:
        """The record of each finished step, by the step's key."""
        paths = self.steps.glob("*/record.json")
        return {path.parent.name: json.loads(path.read_text()) for path in paths}

    def answers(self) -> list[Path]:
        """The files of answers of the labelling steps, finished or not."""
        return list(self.steps.glob("*/answers-*/*.parquet"))

    def book(self) -> list[dict[str, Any]]:
        """All that prompted teachers have answered, in the order in which it was written."""
        files = sorted((self.folder / "runs" / "answers").glob("*/*.parquet"))
        return [row for file in files for row in pq.read_table(file).to_pylist()]

    def label_tables(self) -> dict[str, bytes]:
        """The bytes of each table of labels, by the step's key."""
        tables = self.steps.glob("*/labels.parquet")
        return {path.parent.name: path.read_bytes() for path in tables}


def wait_for(condition: Callable[[], Any], running: "subprocess.Popen[str]", seconds: float = 400) -> Any:
    """What `condition` gives once it is true, while the process `running` runs."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert running.poll() is None, f"the run ended first: {running.communicate()[0]}"
        assert time.monotonic() < end, f"the condition did not become true within {seconds} s"
        time.sleep(0.05)
    return found


def processes_below(pid: int, title: str) -> list[psutil.Process]:
    """The processes started, directly or not, by `pid` whose title holds `title`."""
    found = []
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    for child in children:
        try:
            if title in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found
