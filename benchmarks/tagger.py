"""What a tagger from scratch learns from 2,000 gold rows of CRAFT (at most 25 words) and of Snips, and how fast.

    python benchmarks/tagger.py [--quick] [--json FILE]

Reads the normalised corpora below $MCKD_DATA. Each seed draws its rows and trains on one thread; scores are on the test
split (CRAFT: its rows of at most 25 words). Settings were chosen on dev.
"""

import json
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from common import Claims, arguments, machine

from mckd_ray.config import ScratchConfig, StudentConfig, TrainingConfig
from mckd_ray.records import Example, TrainingRow, write_rows
from mckd_ray.student.base import TrainingJob
from mckd_ray.student.tagger import Tagger
from mckd_ray.tasks import TASKS

ROWS = 2000
Annotated = list[tuple[Example, str]]


@dataclass(frozen=True)
class Setting:
    """A corpus, how a tagger is trained on it, and what it is held to."""

    corpus: str
    task: str
    metric: str
    training: TrainingConfig
    target: float
    longest: int = 1000


SETTINGS = (
    Setting("craft", "constituency", "unlabelled_f1", TrainingConfig(steps=1000, learning_rate=3e-3), 65, longest=25),
    Setting("snips", "semantic", "slot_f1", TrainingConfig(steps=1000, learning_rate=3e-3), 81),
)


@dataclass(frozen=True)
class Measured:
    """What one seed gave."""

    score: float
    seconds: float
    rate: float


def read(folder: Path, setting: Setting, split: str) -> Annotated:
    """The rows of a split that are not too long, with their gold."""
    task = TASKS[setting.task]
    lines = (folder / setting.corpus / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [task.read(json.loads(line)) for line in lines]
    return [(example, gold or "") for example, gold in rows if len(example.tokens) <= setting.longest]


def measure(setting: Setting, train: Annotated, test: Annotated, seed: int) -> Measured:
    """Train on ROWS rows drawn by `seed`; score and time on `test`."""
    drawn = random.Random(seed).sample(train, ROWS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = _job(setting, drawn, folder, seed)
        start = time.perf_counter()
        trainer = Tagger().trainer(job)
        trainer.train()
        seconds = time.perf_counter() - start
        Tagger().save(trainer, job, folder / "student")
        labeller = Tagger().load(folder / "student")
    start = time.perf_counter()
    labels = labeller.label([example for example, _ in test])
    rate = len(test) / (time.perf_counter() - start)
    task = TASKS[setting.task]
    total: dict[str, float] = {}
    for (example, gold), label in zip(test, labels, strict=True):
        for key, value in task.counts(gold, label.target or None, example).items():
            total[key] = total.get(key, 0.0) + value
    return Measured(task.scores(total)[setting.metric], seconds, rate)


def _job(setting: Setting, drawn: Annotated, folder: Path, seed: int) -> TrainingJob:
    rows = [TrainingRow(example.id, example.tokens, example.text, gold) for example, gold in drawn]
    write_rows(folder / "rows.parquet", TrainingRow, rows)
    write_rows(folder / "raw.parquet", Example, [example for example, _ in drawn])
    return TrainingJob(
        task=setting.task,
        student=StudentConfig(scratch=ScratchConfig()),
        training=setting.training,
        objective="supervised",
        rows=folder / "rows.parquet",
        raw_text=folder / "raw.parquet",
        init=None,
        seed=seed,
        workers=1,
        accumulate=1,
        work=folder / "work",
    )


def main() -> int:
    """Measure both corpora; 0 if all claims hold, 2 if there is no data."""
    options = arguments("Quality and speed of the tagger from scratch.").parse_args()
    folder = Path(os.environ.get("MCKD_DATA", ""))
    if not (folder / "craft" / "train.jsonl").exists():
        print("set MCKD_DATA to a folder that holds craft/ and snips/ in the normalised format", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    seeds = (1,) if options.quick else (1, 2, 3)
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, 1 used; {facts['versions']}; {ROWS} gold rows, seeds {seeds}")
    print(f"{'corpus':8}{'metric':16}{'test':>7}{'spread':>8}{'train s':>9}{'sentences/s':>13}")
    claims = Claims("tagger")
    for setting in SETTINGS:
        train, test = read(folder, setting, "train"), read(folder, setting, "test")
        runs = [measure(setting, train, test, seed) for seed in seeds]
        scores = [run.score for run in runs]
        spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
        seconds, rate = (statistics.mean(values) for values in zip(*((r.seconds, r.rate) for r in runs), strict=True))
        score = statistics.mean(scores)
        print(f"{setting.corpus:8}{setting.metric:16}{score:7.1f}{spread:8.1f}{seconds:9.0f}{rate:13.0f}")
        claims.add(f"{setting.corpus} {setting.metric}", score, ">=", setting.target, "%")
        claims.add(f"{setting.corpus} training", seconds, "<=", 180)
    return claims.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
