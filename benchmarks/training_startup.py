"""CPU seconds of training one more small student: in a Ray Train run that is there, or in one of its own.

    python benchmarks/training_startup.py [--quick] [--json FILE]

Each student trains for 5 steps, so nearly all of it is starting. Counted are user and system time of all processes of a
local Ray, which other load on the machine changes much less than wall time. The students of both ways must be the same,
to the bit.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import ray
from common import Claims, arguments

from mckd_ray import corpora
from mckd_ray.config import (
    CorpusConfig,
    ResourcesConfig,
    ScratchConfig,
    StudentConfig,
    StudentResources,
    TrainingConfig,
)
from mckd_ray.records import Example, TrainingRow, write_rows
from mckd_ray.runner.session import session
from mckd_ray.runner.training import train
from mckd_ray.runner.training_runs import start_training_runs
from mckd_ray.storage import place_at
from mckd_ray.student.base import TrainingJob
from mckd_ray.tasks import TASKS

SAMPLE_S = 0.1
TARGET_SHARE = 0.2


class CpuClock(threading.Thread):
    """CPU seconds of the processes below this one, the ended ones included."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._last: dict[psutil.Process, float] = {}

    def run(self) -> None:
        """Look every SAMPLE_S seconds."""
        while True:
            self.seconds()
            time.sleep(SAMPLE_S)

    def seconds(self) -> float:
        """User and system time so far."""
        for process in psutil.Process().children(recursive=True):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            self._last[process] = times.user + times.system
        return sum(list(self._last.values()))


def job(folder: Path, seed: int) -> TrainingJob:
    """A tiny tagger on 100 trees of the built-in corpus."""
    corpus = CorpusConfig.model_validate({"format": "builtin", "labelled": 100, "pool": 10, "dev": 10, "test": 10})
    rows = corpora.load(corpus, TASKS["constituency"]).labelled
    write_rows(folder / "rows.parquet", TrainingRow, rows)
    write_rows(folder / "raw.parquet", Example, [row.example for row in rows])
    return TrainingJob(
        task="constituency",
        student=StudentConfig(scratch=ScratchConfig(width=16, layers=1, heads=2, vocabulary=500)),
        training=TrainingConfig(steps=5, batch_size=8),
        objective="supervised",
        rows=folder / "rows.parquet",
        raw_text=folder / "raw.parquet",
        init=None,
        seed=seed,
        workers=1,
        accumulate=1,
        work=folder / "checkpoints",
    )


def measure(folder: Path, count: int, idle_s: float) -> tuple[list[float], list[bytes]]:
    """CPU seconds and weights of each of `count` students, trained one after another by runs that wait `idle_s`."""
    seconds, weights = [], []
    with session(ResourcesConfig()):
        clock, runs = CpuClock(), start_training_runs(ResourcesConfig(), idle_s)
        clock.start()
        for seed in range(count):
            place = place_at(folder / str(seed))
            place.path.mkdir(parents=True)
            ready, before = job(place.path, seed), clock.seconds()
            train(ready, place, StudentResources(), runs)
            seconds.append(clock.seconds() - before)
            weights.append((place.path / "model" / "model.safetensors").read_bytes())
        ray.kill(runs)
    return seconds, weights


def main() -> int:
    """Measure both ways; 0 if a further student is as cheap as claimed."""
    options = arguments("CPU seconds that starting costs each student.").parse_args()
    count = 3 if options.quick else 6
    with tempfile.TemporaryDirectory() as name:
        alone, alone_weights = measure(Path(name) / "alone", count, idle_s=0)
        shared, shared_weights = measure(Path(name) / "shared", count, idle_s=60)
    for what, seconds in (("a run for each", alone), ("one run for all", shared)):
        print(f"{what:16}" + "".join(f"{value:7.1f}" for value in seconds) + "  CPU s a student", flush=True)
    claims = Claims("training_startup")
    # The first student of either way also pays for what is started once in a session.
    share = sum(shared[1:]) / sum(alone[1:])
    claims.add("a further student in a run that is there, against one of its own", share, "<=", TARGET_SHARE, "of CPU")
    different = sum(one != other for one, other in zip(alone_weights, shared_weights, strict=True))
    claims.add("students that differ between the two", different, "<=", 0, "students")
    return claims.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
