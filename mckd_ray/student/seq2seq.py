"""The `seq2seq` student: any encoder-decoder of transformers, or a small T5 from scratch."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from string import punctuation
from typing import Any

import safetensors
import tokenizers
import torch
import transformers

import mckd_ray
from mckd_ray.config import ScratchConfig
from mckd_ray.errors import DataError, ModelError
from mckd_ray.records import Example, TrainingRow, read_rows
from mckd_ray.student import CARD
from mckd_ray.student.arguments import training_arguments, training_order
from mckd_ray.student.base import Labeller, StudentKind, TrainingJob
from mckd_ray.student.generation import start_piece
from mckd_ray.student.pieces import Pieces, train_tokenizer
from mckd_ray.student.quiet import quiet
from mckd_ray.student.seq2seq_labeller import Seq2SeqLabeller, Settings
from mckd_ray.student.seq2seq_training import Collator, Item, Masked, Supervised, WeightedTrainer
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.base import Inventory, Linearisation

logger = logging.getLogger(__name__)

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
        _fit_embeddings(model, pieces)
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
        if not isinstance(trainer, WeightedTrainer) or trainer.processing_class is None:
            raise TypeError("save() takes the trainer that trainer() made")
        model = trainer.accelerator.unwrap_model(trainer.model)
        with quiet():
            model.save_pretrained(folder)
        trainer.processing_class.save_pretrained(folder)
        card = {
            "kind": "seq2seq",
            "task": job.task,
            "linearisation": job.student.linearisation,
            "inventory": trainer.inventory,
            "max_source": job.student.max_source,
            "max_target": job.student.max_target,
            "constrain": job.student.constrain,
            "versions": {
                "mckd_ray": mckd_ray.__version__,
                "transformers": transformers.__version__,
                "tokenizers": tokenizers.__version__,
                "torch": torch.__version__,
            },
        }
        (folder / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> Labeller:
        """The student in `folder`, on the GPU if there is one. Raises ModelError."""
        card = _read_card(folder)
        pieces, model = _pretrained(str(folder), dropout=None)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        task = TASKS[card["task"]]
        settings = Settings(
            linearisation=task.linearisations[card["linearisation"]],
            inventory={name: tuple(values) for name, values in card["inventory"].items()},
            max_source=_limit(card["max_source"], model.config),
            max_target=_limit(card["max_target"], model.config),
            constrain=card["constrain"],
        )
        return Seq2SeqLabeller(model.to(device).eval(), pieces, settings)


def _read_card(folder: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder}: is not a student that was trained here: its {CARD} can't be read ({error})."
        ) from error
    if card.get("kind") != "seq2seq":
        raise ModelError(f"{folder}: is a student of the kind '{card.get('kind')}', and seq2seq is wanted.")
    return card


def _start(job: TrainingJob) -> tuple[Pieces, Any]:
    """The tokenizer and model that the job starts from."""
    if job.init is not None:
        _read_card(job.init)
        return _pretrained(str(job.init), job.training.dropout)
    if job.student.model != "scratch":
        return _pretrained(job.student.model, job.training.dropout)
    texts = [example.source for example in read_rows(job.raw_text, Example)]
    pieces = Pieces(train_tokenizer(texts, job.student.scratch.vocabulary))
    return pieces, _small_t5(job.student.scratch, pieces, job.training.dropout)


def _small_t5(sizes: ScratchConfig, pieces: Pieces, dropout: float | None) -> Any:
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
    """Tokenizer and model by hub name or folder: safetensors only, no code from the hub. Raises ModelError."""
    try:
        with quiet():
            return _read_pretrained(name, dropout)
    except (OSError, ValueError, KeyError, ImportError, safetensors.SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"'{name}' can't be loaded as a seq2seq student: {reason} Give a hub name or a folder of an encoder-decoder"
            " with safetensors and its tokenizer, or 'scratch'."
        ) from error


def _read_pretrained(name: str, dropout: float | None) -> tuple[Pieces, Any]:
    config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
    if dropout is not None:
        setattr(config, "dropout_rate" if hasattr(config, "dropout_rate") else "dropout", dropout)
    tokenizer = transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        name, config=config, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
    )
    return Pieces(tokenizer), model


def _fit_embeddings(model: Any, pieces: Pieces) -> None:
    """Room for the pieces that were added; the new ones start near the mean of the old. Never shrinks."""
    if len(pieces) > model.get_input_embeddings().weight.shape[0]:
        with quiet():
            model.resize_token_embeddings(len(pieces))


def _limit(pieces: int, config: Any) -> int:
    """At most `pieces`, and at most what a model with fixed positions can hold."""
    return min(pieces, getattr(config, "max_position_embeddings", None) or pieces)


def _masked(job: TrainingJob, rows: Sequence[TrainingRow], pieces: Pieces, config: Any) -> Masked:
    longest = _limit(job.student.max_source, config)
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
    max_source, max_target = _limit(job.student.max_source, config), _limit(job.student.max_target, config)
    items = [
        Item(pieces.source(row.example.source), encode(text), row.weight) for row, text in zip(rows, texts, strict=True)
    ]
    fitting = [item for item in items if len(item.source) <= max_source and len(item.target) <= max_target]
    if not fitting:
        raise DataError(
            f"{job.rows}: none of its {len(rows)} rows can be trained on within student.max_source={max_source} and "
            f"student.max_target={max_target} pieces."
        )
    if len(fitting) < len(items):
        logger.warning(
            "%d of %d rows are too long to train on, and are left out.", len(items) - len(fitting), len(items)
        )
    lengths = [len(item.source) + len(item.target) for item in fitting]
    return Supervised(fitting, training_order(lengths, job.training, job.seed))


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
