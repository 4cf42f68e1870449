"""The `causal` student: any decoder-only model of transformers, or a small Llama from scratch, prompted."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import tokenizers
import torch
import transformers
from torch.nn import functional

import mckd_ray
from mckd_ray.config import ScratchConfig
from mckd_ray.errors import DataError, ModelError
from mckd_ray.records import Example, TrainingRow, read_rows
from mckd_ray.student import CARD
from mckd_ray.student.arguments import training_arguments
from mckd_ray.student.base import Labeller, StudentKind, TrainingJob
from mckd_ray.student.causal_labeller import CausalLabeller
from mckd_ray.student.causal_text import (
    Collator,
    Packed,
    PromptForm,
    PromptPieces,
    Segment,
    add_whole,
    pack,
    read_form,
    scratch_tokenizer,
)
from mckd_ray.student.quiet import quiet
from mckd_ray.student.seq2seq import structural_symbols
from mckd_ray.student.seq2seq_labeller import Settings
from mckd_ray.student.trainer import StudentTrainer
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.base import Inventory

logger = logging.getLogger(__name__)

TEXT_WEIGHT = 0.1
"""From scratch: how much a piece of a prompt, or of a word that the answer repeats, counts beside one of a symbol."""


class CausalTrainer(StudentTrainer):
    """Transformers' trainer, with a weight for each piece, and what the student's card will say."""

    def __init__(self, form: PromptForm, inventory: Inventory, **settings: Any) -> None:
        """`inventory`: the names in the targets it trains on; `settings`: those of StudentTrainer."""
        super().__init__(**settings)
        self.form, self.inventory = form, inventory
        # So the trainer counts the pieces of the whole batch, over all workers and accumulated parts.
        self.model_accepts_loss_kwargs = True

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Cross-entropy, each piece's times its weight, over the number of pieces in the whole batch."""
        labels, weights = inputs["labels"], inputs["weights"]
        outputs = model(input_ids=inputs["input_ids"], use_cache=False)
        losses = functional.cross_entropy(
            outputs.logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="none"
        )
        pieces = (labels >= 0).sum() if num_items_in_batch is None else num_items_in_batch
        # The workers' gradients are averaged, but each worker's loss is already its share of the whole batch.
        workers = self.accelerator.num_processes if num_items_in_batch is not None else 1
        loss = (losses * weights.flatten()).sum() / pieces * workers
        return (loss, outputs) if return_outputs else loss


class Causal(StudentKind):
    """A decoder that writes a linearisation behind a prompt.

    Examples are packed, several to a sequence of at most `max_source` + `max_target` pieces; `batch_size` counts
    sequences. Rows without a target are raw text.
    """

    def trainer(self, job: TrainingJob) -> CausalTrainer:
        """A trainer that is ready for `train()`.

        Rows longer than `max_source` or `max_target` are left out, with a warning. Raises ModelError, DataError.
        """
        transformers.set_seed(job.seed)
        rows = read_rows(job.rows, TrainingRow)
        linearisation = TASKS[job.task].linearisations[job.student.linearisation]
        with_target = [row for row in rows if row.target]
        inventory = linearisation.inventory([(row.target, row.example) for row in with_target])
        form = read_form(job.task, job.student.linearisation, inventory)
        outputs = [linearisation.linearise(row.target, row.example) if row.target else "" for row in rows]
        symbols: Sequence[str] = ()
        if with_target and linearisation.legal(with_target[0].example, inventory) is not None:
            written = [output for output in outputs if output]
            symbols = structural_symbols(written, [row.example for row in with_target])
        pieces, model = _start(job, form, symbols)
        context = _context(job, model.config)
        segments = _segments(job, rows, outputs, pieces, symbols, context)
        room = context - len(pieces.opening) - 1
        count = job.training.steps * job.training.batch_size
        packs = pack([len(segment.ids) for segment in segments], room, count, job.seed)
        return CausalTrainer(
            form,
            inventory,
            lengths=[[sum(len(segments[row].ids) for row in rows)] for rows in packs],
            model=model,
            args=training_arguments(job),
            train_dataset=Packed(segments, packs),
            data_collator=Collator(pieces.opening, pieces.end, pieces.pad),
            processing_class=pieces.tokenizer,
        )

    def save(self, trainer: transformers.Trainer, job: TrainingJob, folder: Path) -> None:
        """Write model (safetensors), tokenizer and `student.json` into `folder`."""
        if not isinstance(trainer, CausalTrainer) or trainer.processing_class is None:
            raise TypeError("save() takes the trainer that trainer() made")
        with quiet():
            trainer.accelerator.unwrap_model(trainer.model).save_pretrained(folder)
        trainer.processing_class.save_pretrained(folder)
        card = {
            "kind": "causal",
            "task": job.task,
            "linearisation": job.student.linearisation,
            "form": asdict(trainer.form),
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
        tokenizer, model = _pretrained(str(folder), dropout=None)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        settings = Settings(
            linearisation=TASKS[card["task"]].linearisations[card["linearisation"]],
            inventory={name: tuple(values) for name, values in card["inventory"].items()},
            max_source=card["max_source"],
            max_target=card["max_target"],
            constrain=card["constrain"],
        )
        return CausalLabeller(model.to(device).eval(), PromptPieces(tokenizer, PromptForm(**card["form"])), settings)


def _read_card(folder: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder}: is not a student that was trained here: its {CARD} can't be read ({error})."
        ) from error
    if card.get("kind") != "causal":
        raise ModelError(f"{folder}: is a student of the kind '{card.get('kind')}', and causal is wanted.")
    return card


def _start(job: TrainingJob, form: PromptForm, symbols: Sequence[str]) -> tuple[PromptPieces, Any]:
    """The tokenizer and model that the job starts from."""
    if job.init is None and job.student.model == "scratch":
        texts = [example.source for example in read_rows(job.raw_text, Example)]
        pieces = PromptPieces(scratch_tokenizer(texts, job.student.scratch.vocabulary, form, symbols), form)
        return pieces, _small_llama(job, pieces)
    if job.init is not None:
        _read_card(job.init)
    tokenizer, model = _pretrained(str(job.init or job.student.model), job.training.dropout)
    if job.student.model == "scratch":
        add_whole(tokenizer, [f" {symbol}" for symbol in symbols])
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        with quiet():
            model.resize_token_embeddings(len(tokenizer))
    return PromptPieces(tokenizer, form), model


def _small_llama(job: TrainingJob, pieces: PromptPieces) -> Any:
    sizes: ScratchConfig = job.student.scratch
    if sizes.width % (2 * sizes.heads):
        raise ModelError(f"student.scratch.width={sizes.width} is not a multiple of 2 x heads={sizes.heads}.")
    config = transformers.LlamaConfig(
        vocab_size=len(pieces),
        hidden_size=sizes.width,
        intermediate_size=2 * sizes.width,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        max_position_embeddings=job.student.max_source + job.student.max_target,
        attention_dropout=job.training.dropout or 0.0,
        tie_word_embeddings=True,
        pad_token_id=pieces.pad,
        eos_token_id=pieces.end,
        bos_token_id=None,
    )
    llama: Any = transformers.LlamaForCausalLM
    return llama(config)


def _pretrained(name: str, dropout: float | None) -> tuple[Any, Any]:
    """The tokenizer and model of a folder or hub name. Raises ModelError."""
    try:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
            if dropout is not None:
                config.attention_dropout = dropout
            tokenizer = transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                name, config=config, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
            )
    except (OSError, ValueError, KeyError, ImportError, safetensors.SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"'{name}' can't be loaded as a causal student: {reason} Give a hub name or a folder of a decoder-only"
            " model with safetensors and its tokenizer, or 'scratch'."
        ) from error
    return tokenizer, model


def _context(job: TrainingJob, config: Any) -> int:
    """The longest sequence to train on, in pieces: what was asked for, or what the model can hold."""
    wanted = job.student.max_source + job.student.max_target
    return min(wanted, getattr(config, "max_position_embeddings", None) or wanted)


def _segments(
    job: TrainingJob,
    rows: Sequence[TrainingRow],
    outputs: Sequence[str],
    pieces: PromptPieces,
    symbols: Sequence[str],
    context: int,
) -> list[Segment]:
    """The rows that can be trained on, in pieces. Raises DataError if there are none.

    Of a pretrained model, what it is given does not count; from scratch, words count a little, raw text as symbols do.
    """
    scratch = job.student.model == "scratch"
    whole = pieces.tokenizer.get_added_vocab() if scratch else {}
    known = {whole[f" {symbol}"] for symbol in symbols if f" {symbol}" in whole}
    before = TEXT_WEIGHT if scratch else 0.0
    segments = []
    for row, output in zip(rows, outputs, strict=True):
        given = pieces.question(row.example.source) if output else []
        learned = pieces.answer(output) if output else pieces.raw(row.example.source)
        whole = len(pieces.opening) + len(given) + len(learned) + 1
        fits = len(pieces.opening) + len(given) <= job.student.max_source and len(learned) < job.student.max_target
        if whole <= context and (fits or not output):
            counts = [TEXT_WEIGHT if output and known and piece not in known else 1.0 for piece in learned]
            counts = [row.weight * count for count in [before] * len(given) + counts]
            segments.append(Segment([*given, *learned], counts))
    if not segments:
        raise DataError(
            f"{job.rows}: none of its {len(rows)} rows can be trained on within student.max_source="
            f"{job.student.max_source} and student.max_target={job.student.max_target} pieces."
        )
    if len(segments) < len(rows):
        logger.warning(
            "%d of %d rows are too long to train on, and are left out.", len(rows) - len(segments), len(rows)
        )
    return segments
