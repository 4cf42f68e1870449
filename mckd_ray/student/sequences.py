"""What the students that write a linearisation piece by piece share: card, checkpoint, symbols, limits."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import punctuation
from typing import Any, Self

import transformers

from mckd_ray.errors import DataError
from mckd_ray.records import Example
from mckd_ray.student.base import TrainingJob
from mckd_ray.student.card import Card
from mckd_ray.student.quiet import quiet
from mckd_ray.student.seq2seq_labeller import Settings
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.base import Inventory

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SequenceCard(Card):
    """What `student.json` says of a student that writes sequences."""

    inventory: Mapping[str, Sequence[str]]
    max_source: int
    max_target: int

    @classmethod
    def of(cls, job: TrainingJob, inventory: Inventory, **more: Any) -> Self:
        """The card of the student that `job` trains, with the names in its targets; `more`: what else its kind says."""
        student = job.student
        return cls(
            kind=student.kind,
            task=job.task,
            linearisation=student.linearisation,
            constrain=student.constrain,
            inventory=inventory,
            max_source=student.max_source,
            max_target=student.max_target,
            **more,
        )

    @property
    def settings(self) -> Settings:
        """What it writes, and within which limits."""
        return Settings(
            linearisation=TASKS[self.task].linearisations[self.linearisation],
            inventory={name: tuple(values) for name, values in self.inventory.items()},
            max_source=self.max_source,
            max_target=self.max_target,
            constrain=self.constrain,
        )


def save_student(trainer: transformers.Trainer, card: SequenceCard, folder: Path) -> None:
    """Write model (safetensors), tokenizer and `card` into `folder`."""
    tokenizer: Any = trainer.processing_class
    with quiet():
        trainer.accelerator.unwrap_model(trainer.model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    card.write(folder)


def within(pieces: int, config: Any) -> int:
    """At most `pieces`, and at most what a model with fixed positions can hold."""
    return min(pieces, getattr(config, "max_position_embeddings", None) or pieces)


def fit_embeddings(model: Any, pieces: int) -> None:
    """Room for `pieces` pieces, where some were added; the new ones start near the mean of the old. Never shrinks."""
    if pieces > model.get_input_embeddings().weight.shape[0]:
        with quiet():
            model.resize_token_embeddings(pieces)


def check_fitting(job: TrainingJob, fitting: int, rows: int, max_source: int, max_target: int) -> None:
    """Raise DataError if none of so many rows is short enough to train on; warn if some aren't."""
    if not fitting:
        raise DataError(
            f"{job.rows}: none of its {rows} rows can be trained on within student.max_source={max_source} and "
            f"student.max_target={max_target} pieces."
        )
    if fitting < rows:
        logger.warning("%d of %d rows are too long to train on, and are left out.", rows - fitting, rows)


def structural_symbols(texts: Sequence[str], examples: Sequence[Example]) -> list[str]:
    """The symbols of the linearisations `texts` that aren't words of their inputs (brackets, labels, tags), sorted.

    A word with punctuation that the linearisation put on it is still a word.
    """
    found: set[str] = set()
    for text, example in zip(texts, examples, strict=True):
        words = {_core(word) for word in example.source.split()}
        found.update(symbol for symbol in text.split() if _core(symbol) not in words)
    return sorted(found)


def _core(symbol: str) -> str:
    return symbol.strip(punctuation) or symbol
