"""The `seq2seq` student: any encoder-decoder of transformers, or a small T5 from scratch."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers

from mckd_ray.config import ScratchConfig
from mckd_ray.errors import DataError, ModelError
from mckd_ray.records import Example, TrainingRow, read_rows
from mckd_ray.student.arguments import training_arguments, training_order
from mckd_ray.student.base import Labeller, StudentKind, TrainingJob
from mckd_ray.student.generation import start_piece
from mckd_ray.student.pieces import Pieces, train_tokenizer
from mckd_ray.student.pretrained import load_model, loading
from mckd_ray.student.seq2seq_labeller import Seq2SeqLabeller, Settings
from mckd_ray.student.seq2seq_training import Collator, Item, Masked, Supervised, WeightedTrainer
from mckd_ray.student.sequences import (
    SequenceCard,
    check_fitting,
    fit_embeddings,
    save_student,
    structural_symbols,
    within,
)
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.base import Inventory, Linearisation

MASKED_SHARE = 0.15
"""T5's own share of masked pieces, where the config doesn't say."""


class Seq2Seq(StudentKind):
    """An encoder-decoder that writes a linearisation."""

    def trainer(self, job: TrainingJob) -> WeightedTrainer:
        """A trainer that is ready for `train()`.

        Rows longer than `max_source` or `max_target` are left out, with a warning. Raises ModelError, DataError.
        """
        transformers.set_seed(job.seed)
        rows = read_rows(job.rows, TrainingRow)
        linearisation = TASKS[job.task].linearisations[job.student.linearisation]
        pieces, model = _start(job)
        targets = [(row.target, row.example) for row in rows] if job.objective == "supervised" else []
        inventory = linearisation.inventory(targets)
        dataset = (
            _masked(job, rows, pieces, model.config)
            if job.objective == "masked"
            else _supervised(job, rows, pieces, linearisation, inventory, model.config)
        )
        fit_embeddings(model, len(pieces))
        return WeightedTrainer(
            inventory,
            lengths=dataset.lengths,
            model=model,
            args=training_arguments(job),
            train_dataset=dataset,
            data_collator=Collator(start_piece(model), pieces.pad),
            processing_class=pieces.tokenizer,
        )

    def save(self, trainer: transformers.Trainer, job: TrainingJob, folder: Path) -> None:
        """Write model (safetensors), tokenizer and `student.json` into `folder`."""
        if not isinstance(trainer, WeightedTrainer):
            raise TypeError("save() takes the trainer that trainer() made")
        save_student(trainer, SequenceCard.of(job, trainer.inventory), folder)

    def load(self, folder: Path) -> Labeller:
        """The student in `folder`, on the GPU if there is one. Raises ModelError."""
        settings = SequenceCard.read(folder, "seq2seq").settings
        pieces, model = _pretrained(str(folder), dropout=None)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return Seq2SeqLabeller(model.to(device).eval(), pieces, _within(settings, model.config))


def read_student(folder: Path) -> tuple[Any, Pieces, Settings]:
    """The model's config, the pieces and the settings of the student in `folder`. Raises ModelError."""
    settings = SequenceCard.read(folder, "seq2seq").settings
    with _loading(str(folder)):
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    return config, Pieces(tokenizer), _within(settings, config)


def _within(settings: Settings, config: Any) -> Settings:
    """Limits that a model with fixed positions can hold."""
    limits = within(settings.max_source, config), within(settings.max_target, config)
    return replace(settings, max_source=limits[0], max_target=limits[1])


def _start(job: TrainingJob) -> tuple[Pieces, Any]:
    """The tokenizer and model that the job starts from."""
    if job.init is not None:
        SequenceCard.read(job.init, "seq2seq")
        return _pretrained(str(job.init), job.training.dropout)
    if job.student.model != "scratch":
        return _pretrained(job.student.model, job.training.dropout)
    texts = [example.source for example in read_rows(job.raw_text, Example)]
    pieces = Pieces(train_tokenizer(texts, job.student.scratch.vocabulary))
    return pieces, small_t5(job.student.scratch, pieces, job.training.dropout)


def small_t5(sizes: ScratchConfig, pieces: Pieces, dropout: float | None) -> Any:
    """A T5 with random weights, ready to be trained. Raises ModelError if the sizes do not fit one another."""
    if sizes.width % sizes.heads:
        raise ModelError(f"student.scratch.width={sizes.width} is not a multiple of heads={sizes.heads}.")
    config = transformers.T5Config(
        vocab_size=len(pieces),
        d_model=sizes.width,
        d_kv=sizes.width // sizes.heads,
        d_ff=4 * sizes.width,
        num_layers=sizes.layers,
        num_decoder_layers=sizes.layers,
        num_heads=sizes.heads,
        dropout_rate=0.1 if dropout is None else dropout,
        pad_token_id=pieces.pad,
        eos_token_id=pieces.end,
        decoder_start_token_id=pieces.pad,  # type: ignore[call-arg]
    )
    model: Any = transformers.T5ForConditionalGeneration(config)
    # T5's own start is made for Adafactor: embeddings of deviation 1, outputs times width**-0.5. AdamW, whose steps are
    # of one size, learns several times slower from it. This start gives the outputs the same scale without either.
    with torch.no_grad():
        model.shared.weight.mul_(sizes.width**-0.5)
        model.decoder.final_layer_norm.weight.fill_(sizes.width**0.5)
    return model


def _pretrained(name: str, dropout: float | None) -> tuple[Pieces, Any]:
    """The tokenizer and model of a folder or hub name. Raises ModelError."""
    with _loading(name):
        tokenizer, model = load_model(
            transformers.AutoModelForSeq2SeqLM, name, dropout, dropout_keys=("dropout_rate", "dropout")
        )
        return Pieces(tokenizer), model


def _loading(name: str) -> AbstractContextManager[None]:
    give = "a hub name or a folder of an encoder-decoder with safetensors and its tokenizer, or 'scratch'"
    return loading(f"'{name}'", "a seq2seq student", give)


def _masked(job: TrainingJob, rows: Sequence[TrainingRow], pieces: Pieces, config: Any) -> Masked:
    longest = within(job.student.max_source, config)
    sources = [pieces.source(row.example.source) for row in rows]
    # Long text is cut: any stretch of it can be learned from.
    texts = [
        Item([*source[: longest - 1], pieces.end], (), row.weight) for source, row in zip(sources, rows, strict=True)
    ]
    texts = [text for text in texts if len(text.source) > 1]
    if not texts:
        raise DataError(f"{job.rows}: holds no text to train on.")
    order = training_order([len(text.source) for text in texts], job.training, job.seed)
    share = MASKED_SHARE if job.student.base is None else job.student.base.masked_share
    return Masked(texts, order, share, pieces.sentinels(), job.seed)


def _supervised(
    job: TrainingJob,
    rows: Sequence[TrainingRow],
    pieces: Pieces,
    linearisation: Linearisation,
    inventory: Inventory,
    config: Any,
) -> Supervised:
    texts = [linearisation.linearise(row.target, row.example) for row in rows]
    encode = pieces.text
    if rows and linearisation.legal(rows[0].example, inventory) is not None:
        encode = pieces.symbols
        names = structural_symbols(texts, [row.example for row in rows])
        # A pretrained model knows its own pieces for brackets and names: only what it can't write is added to them.
        pieces.add_symbols(names if job.student.model == "scratch" else filter(pieces.lossy, names))
    max_source, max_target = within(job.student.max_source, config), within(job.student.max_target, config)
    items = [
        Item(pieces.source(row.example.source), encode(text), row.weight) for row, text in zip(rows, texts, strict=True)
    ]
    fitting = [item for item in items if len(item.source) <= max_source and len(item.target) <= max_target]
    check_fitting(job, len(fitting), len(rows), max_source, max_target)
    lengths = [len(item.source) + len(item.target) for item in fitting]
    return Supervised(fitting, training_order(lengths, job.training, job.seed))
