"""Training students in a test: the job of a tiny one, what is left of it, and a run that is broken off and goes on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from transformers.trainer_utils import get_last_checkpoint

from mckd_ray import student
from mckd_ray.config import StudentConfig, TrainingConfig
from mckd_ray.records import Example, TrainingRow, write_rows
from mckd_ray.student.base import Labeller, TrainingJob

TREES = [
    ("the cat sleeps", "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))"),
    ("a dog saw the cat", "(S (NP (DT a) (NN dog)) (VP (VBD saw) (NP (DT the) (NN cat))))"),
    ("-LRB- yes -RRB-", "(INTJ (-LRB- -LRB-) (UH yes) (-RRB- -RRB-))"),
]
FRAMES = [
    ("play some jazz", "PlayMusic O O B-genre"),
    ("fly to new york ;", "atis_flight O O B-city I-city O"),
    ("hello", "_ O"),
]


def rows_of(pairs: Sequence[tuple[str, str]]) -> list[TrainingRow]:
    """Texts with their targets as rows."""
    return [TrainingRow(f"r{index}", tuple(text.split()), "", target) for index, (text, target) in enumerate(pairs)]


def examples_of(pairs: Sequence[tuple[str, str]]) -> list[Example]:
    """The inputs of `rows_of`."""
    return [row.example for row in rows_of(pairs)]


def make_job(
    folder: Path,
    task: str,
    config: StudentConfig,
    rows: Sequence[TrainingRow],
    training: TrainingConfig,
    **changes: Any,
) -> TrainingJob:
    """The job that trains such a student on these rows; all its files are in `folder`."""
    write_rows(folder / "rows.parquet", TrainingRow, rows)
    write_rows(folder / "raw.parquet", Example, [row.example for row in rows])
    job = TrainingJob(
        task=task,
        student=config,
        training=training,
        objective="supervised",
        rows=folder / "rows.parquet",
        raw_text=folder / "raw.parquet",
        init=None,
        seed=1,
        workers=1,
        accumulate=1,
        work=folder / "work",
    )
    return replace(job, **changes)


def of_student(job: TrainingJob, **changes: Any) -> TrainingJob:
    """The job with other settings of the student."""
    return replace(job, student=job.student.model_copy(update=changes))


def train(job: TrainingJob, folder: Path) -> Path:
    """Train the student of `job` and save it into `folder`."""
    kind = student.kind(job.student.kind)
    trainer = kind.trainer(job)
    trainer.train()
    kind.save(trainer, job, folder)
    return folder


def trained(job: TrainingJob, folder: Path) -> Labeller:
    """The student of `job`, trained, saved into `folder` and loaded from there."""
    return student.load(train(job, folder))


def train_broken_off(job: TrainingJob, folder: Path, stop: int) -> Path:
    """As `train`, but after `stop` steps another trainer goes on from the last checkpoint, in `job.work`."""
    kind = student.kind(job.student.kind)
    first = kind.trainer(job)
    first.add_callback(_StopAt(stop))
    first.train()
    assert first.state.global_step == stop < job.training.steps
    second = kind.trainer(job)
    checkpoint = get_last_checkpoint(str(job.work))  # type: ignore[no-untyped-call]
    second.train(resume_from_checkpoint=checkpoint)
    kind.save(second, job, folder)
    return folder


class _StopAt(transformers.TrainerCallback):
    """Ends training as a killed process would, maybe between two checkpoints."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = state.global_step == self.step


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of the student in `folder`, by name."""
    loaded: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return loaded


def same(one: Path, other: Path) -> bool:
    """Whether two students have the same weights, bit for bit."""
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def largest_difference(one: Path, other: Path) -> float:
    """The mean difference between the weights of two students, of the matrix or vector where it is largest."""
    first, second = weights(one), weights(other)
    return max(float((first[name] - second[name]).abs().mean()) for name in first)
