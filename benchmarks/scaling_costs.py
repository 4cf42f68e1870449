"""What the steps of a run cost on a CPU for each input, in time and memory, and what the driver needs: measured."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import yaml

from mckd_ray import corpora
from mckd_ray.config import CorpusConfig
from mckd_ray.plan.steps import Kind
from mckd_ray.records import TrainingRow, write_rows
from mckd_ray.runner.means import InProcess
from mckd_ray.runner.training_data import training_rows
from mckd_ray.runner.work import Job, evaluate_labels, merge_labels
from mckd_ray.storage import place_at
from mckd_ray.tasks import TASKS

TASK = "constituency"
SENTENCES = 2000
"""Distinct trees of the built-in grammar; larger pools repeat them under other ids."""
POLL_S = 0.1
WHOLE = ("corpus", "gold", "label")
"""The kinds of step that the measured run does on the whole pool; long enough to be seen."""


@dataclass(frozen=True)
class Cost:
    """Of one process: seconds, and bytes of memory at most."""

    seconds: float
    memory: int


def measure(rows: int) -> tuple[int, dict[str, Cost]]:
    """Run an experiment on a pool of so many `rows`, labelled from a file.

    Returns the driver's memory in bytes, and the cost of each kind of step, whatever its share of the pool.
    """
    with tempfile.TemporaryDirectory(prefix="mckd-scaling-") as temporary:
        folder = Path(temporary)
        _write_experiment(folder, rows)
        driver, memory = _watched(folder)
        steps = folder / "runs" / "steps"
        records = {kind: json.loads(next(steps.glob(f"{kind}-*/record.json")).read_text()) for kind in WHOLE}
        costs = {kind: Cost(one["ended"] - one["started"], memory[one["name"]]) for kind, one in records.items()}
        corpus, gold, labels = (place_at(next(steps.glob(f"{kind}-*"))) for kind in ("corpus", "gold", "label"))
        inputs = {"corpus": corpus, "gold": gold, "labels": labels, "labels-0": labels}
        job = Job("alone", {"task": TASK, "split": "pool"}, {}, inputs, place_at(folder / "alone"), InProcess())
        return driver, costs | {kind: _alone(work, job) for kind, work in ALONE.items()}


def _write_experiment(folder: Path, rows: int) -> None:
    task = TASKS[TASK]
    corpus = corpora.load(CorpusConfig(format="builtin", labelled=1, pool=SENTENCES, dev=1, test=10), task)
    trees = [task.write(example, corpus.gold["pool"][example.id]) for example in corpus.pool]
    sizes = {"train": rows + 1, "dev": 1, "test": 1}
    with (folder / "labels.jsonl").open("w") as labels:
        for split, size in sizes.items():
            with (folder / f"{split}.jsonl").open("w") as file:
                for number in range(size):
                    line = json.dumps({**trees[number % SENTENCES], "id": f"{split}-{number}"}) + "\n"
                    file.write(line)
                    labels.write(line)
    config = {
        "task": {"kind": TASK},
        "corpus": {"path": ".", "labelled": 1},
        "teacher": {"engine": "replay", "model": "labels.jsonl"},
        "student": {"kind": "tagger"},
        "plan": {"stages": 1, "systems": ["teacher"]},
        "resources": {"labelling": {"chunk": 512}},
    }
    (folder / "scaling.yaml").write_text(yaml.safe_dump(config))


def _watched(folder: Path) -> tuple[int, dict[str, int]]:
    """Label the pool; the memory of the driver, and of processes by what they do."""
    command = [sys.executable, "-m", "mckd_ray.cli", "run", "scaling.yaml"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        driver, memory = 0, dict[str, int]()
        while process.poll() is None:
            driver = max(driver, _look(psutil.Process(process.pid))[1])
            for child in psutil.Process(process.pid).children(recursive=True):
                title, most = _look(child)
                memory[title] = max(memory.get(title, 0), most)
            time.sleep(POLL_S)
    if process.returncode:
        raise RuntimeError(f"the measured run failed with {process.returncode}")
    return driver, memory


def _look(process: psutil.Process) -> tuple[str, int]:
    """The title of a process, without Ray's mark, and its memory in bytes; none if it has just ended."""
    try:
        return "".join(process.cmdline()[:1]).removeprefix("ray::"), process.memory_info().rss
    except psutil.Error:
        return "", 0


def _alone(work: Callable[[Job], Any], job: Job) -> Cost:
    """What `work` costs in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_cost_of, work, job).result()


def _cost_of(work: Callable[[Job], Any], job: Job) -> Cost:
    started = time.perf_counter()
    work(job)
    return Cost(time.perf_counter() - started, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _training_table(job: Job) -> None:
    """What a training step does before its workers start."""
    rows = training_rows([{"from": "labels"}], job.inputs, TASKS[TASK])
    write_rows(job.folder / "rows.parquet", TrainingRow, rows)


ALONE: Mapping[Kind, Callable[[Job], Any]] = {
    "merge": merge_labels,
    "evaluate": evaluate_labels,
    "train": _training_table,
}
"""Work on the pool that the measured run has not."""
