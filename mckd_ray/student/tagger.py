"""The tagger: an encoder that writes all tags of an input in one pass, for tasks that have tags."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from torch.utils.data import Subset

from mckd_ray.config import BaseConfig
from mckd_ray.errors import ConfigError, DataError, ModelError
from mckd_ray.records import Example, TrainingRow, read_rows
from mckd_ray.student.arguments import training_arguments, training_order
from mckd_ray.student.base import Labeller, StudentKind, TrainingJob
from mckd_ray.student.card import CARD
from mckd_ray.student.quiet import quiet
from mckd_ray.student.readers import Reader, WordReader
from mckd_ray.student.tag_labeller import NO_TAGS, TagLabeller
from mckd_ray.student.tag_models import (
    OURS,
    TagCard,
    extend_head,
    pretrained_model,
    reader_of,
    scratch_model,
    scratch_reader,
    set_dropout,
)
from mckd_ray.student.tag_rows import Batch, TagRow, Vocabularies, collate, tag_rows, tag_vocabularies
from mckd_ray.student.tag_scores import factor_logits, masked_loss, tag_loss
from mckd_ray.student.trainer import StudentTrainer
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.base import TagScheme


class TaggerTrainer(StudentTrainer):
    """A trainer with the tagger's two objectives; it also keeps what `Tagger.save` writes beside the weights."""

    def __init__(self, card: TagCard, reader: Reader, masked_share: float, **settings: Any) -> None:
        super().__init__(**settings, data_collator=partial(collate, pad=reader.pad))
        self.card = card
        self.reader = reader
        self.masked_share = masked_share
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """The objective's loss on a batch of `collate`."""
        if self.card.objective == "masked":
            return masked_loss(model, inputs, self.reader, self.masked_share)
        factors = scheme_of(self.card.task).factors
        return tag_loss(factor_logits(model, inputs, factors, self.card.vocabularies), inputs, factors)


class Tagger(StudentKind):
    """Students of the kind `tagger`."""

    def trainer(self, job: TrainingJob) -> TaggerTrainer:
        """See `StudentKind.trainer`. What starts from a student of ours keeps its vocabulary, and learns new tags."""
        start = _start(job)
        vocabularies, rows = _rows(job, start)
        transformers.set_seed(job.seed)
        labels = sum(map(len, vocabularies.values()))
        if start.name:
            model = pretrained_model(start.name, labels)
        else:
            model = scratch_model(job.student.scratch, start.reader, labels)
        if start.card and start.card.vocabularies and start.card.vocabularies != vocabularies:
            extend_head(model, Path(start.name), start.card.vocabularies, vocabularies)
        set_dropout(model, job.training.dropout)
        lengths = [len(row.ids) for row in rows]
        order = training_order(lengths, job.training, job.seed)
        return TaggerTrainer(
            card=_card(job, start, vocabularies),
            reader=start.reader,
            masked_share=(job.student.base or BaseConfig()).masked_share,
            lengths=[[lengths[row]] for row in order],
            model=model,
            args=training_arguments(job),
            train_dataset=Subset(rows, order),  # type: ignore[arg-type]
        )

    def save(self, trainer: transformers.Trainer, job: TrainingJob, folder: Path) -> None:
        """Write weights, config, vocabularies and `student.json` into `folder`."""
        if not isinstance(trainer, TaggerTrainer):
            raise TypeError("save() takes the trainer that trainer() made")
        folder.mkdir(parents=True, exist_ok=True)
        with quiet():
            trainer.accelerator.unwrap_model(trainer.model).save_pretrained(folder)
        trainer.reader.save(folder)
        trainer.card.write(folder)

    def load(self, folder: Path) -> Labeller:
        """The tagger in `folder`. Raises ModelError, also for one that has only learned to restore masked words."""
        card = TagCard.read(folder, "tagger")
        if card.objective == "masked":
            raise ModelError(f"{folder}: has only learned to restore masked words: train it on targets first.")
        model = pretrained_model(str(folder), sum(map(len, card.vocabularies.values())))
        tags = TASKS[card.task].linearisations["tags"]
        reader = reader_of(str(folder), card.encoder)
        return TagLabeller(model, reader, scheme_of(card.task), tags, card.vocabularies, card.constrain)


def scheme_of(task: str) -> TagScheme:
    """The tags of the task. Raises ConfigError if it has none."""
    scheme = TASKS[task].tags
    if scheme is None:
        having = ", ".join(name for name, other in TASKS.items() if other.tags)
        raise ConfigError(f"student.kind=tagger: the task {task} has no tags ({having} have); use seq2seq.")
    return scheme


@dataclass(frozen=True)
class _Start:
    """Where a student starts: the checkpoint's folder or hub name (empty: from scratch), and its card if it is ours."""

    name: str
    reader: Reader
    card: TagCard | None


def _start(job: TrainingJob) -> _Start:
    model = job.student.model
    folder = job.init or (Path(model) if (Path(model) / CARD).exists() else None)
    if folder:
        card = TagCard.read(folder, "tagger")
        if card.objective == "supervised" and card.task != job.task:
            raise ModelError(f"{folder}: is a student for {card.task}, and can't start one for {job.task}.")
        return _Start(str(folder), reader_of(str(folder), card.encoder), card)
    if model == "scratch":
        texts = [example.tokens for example in read_rows(job.raw_text, Example)]
        return _Start("", scratch_reader(job.student.scratch, texts), None)
    return _Start(model, reader_of(model), None)


def _rows(job: TrainingJob, start: _Start) -> tuple[Vocabularies, list[TagRow]]:
    """The tag vocabularies, and the rows that can be trained on. Raises DataError if there are none."""
    scheme = scheme_of(job.task)
    usable = [row for row in read_rows(job.rows, TrainingRow) if row.tokens and not start.reader.limit(row.tokens)]
    masked = job.objective == "masked"
    if not masked:
        usable = [row for row in usable if row.target and row.weight > 0]
    if not usable:
        raise DataError(f"{job.rows}: no row can be trained on: each lacks tokens or a target, or is too long.")
    if masked:
        return {}, [TagRow(*start.reader.read(row.tokens), NO_TAGS, NO_TAGS[:, 0], row.weight) for row in usable]
    vocabularies, split = tag_vocabularies(scheme, usable, start.card.vocabularies if start.card else {})
    return vocabularies, tag_rows(start.reader, scheme.factors, vocabularies, usable, split)


def _card(job: TrainingJob, start: _Start, vocabularies: Vocabularies) -> TagCard:
    return TagCard(
        kind="tagger",
        task=job.task,
        linearisation="tags",
        objective=job.objective,
        encoder=OURS if isinstance(start.reader, WordReader) else "pieces",
        constrain=job.student.constrain,
        factors={name: list(values) for name, values in vocabularies.items()},
    )
