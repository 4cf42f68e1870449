"""The `causal` student: any decoder-only model of transformers, or a small Llama from scratch, prompted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.nn import functional

from mckd_ray.config import ScratchConfig
from mckd_ray.errors import ModelError
from mckd_ray.records import Example, TrainingRow, read_rows
from mckd_ray.student.arguments import training_arguments
from mckd_ray.student.base import Labeller, StudentKind, TrainingJob
from mckd_ray.student.causal_labeller import CausalLabeller
from mckd_ray.student.causal_text import (
    IGNORED,
    Collator,
    Packed,
    PromptPieces,
    Segment,
    add_whole,
    pack,
    scratch_tokenizer,
)
from mckd_ray.student.pretrained import load_model, loading
from mckd_ray.student.sequences import (
    SequenceCard,
    check_fitting,
    fit_embeddings,
    save_student,
    structural_symbols,
    within,
)
from mckd_ray.student.trainer import StudentTrainer
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.base import Inventory
from mckd_ray.tasks.prompt_form import PromptForm, prompt_form

TEXT_WEIGHT = 0.1
"""From scratch: how much a piece of a prompt, or of a word that the answer repeats, counts beside one of a symbol."""


@dataclass(frozen=True)
class CausalCard(SequenceCard):
    """What `student.json` says of a causal student."""

    form: dict[str, str]
    """The parts of its prompts."""


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
            outputs.logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none"
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
        task = TASKS[job.task]
        linearisation = task.linearisations[job.student.linearisation]
        with_target = [row for row in rows if row.target]
        inventory = linearisation.inventory([(row.target, row.example) for row in with_target])
        form = prompt_form(task, job.student.linearisation, inventory, job.template)
        outputs = [linearisation.linearise(row.target, row.example) if row.target else "" for row in rows]
        symbols: Sequence[str] = ()
        if with_target and linearisation.legal(with_target[0].example, inventory) is not None:
            written = [output for output in outputs if output]
            symbols = structural_symbols(written, [row.example for row in with_target])
        pieces, model = _start(job, form, symbols)
        context = within(job.student.max_source + job.student.max_target, model.config)
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
        if not isinstance(trainer, CausalTrainer):
            raise TypeError("save() takes the trainer that trainer() made")
        save_student(trainer, CausalCard.of(job, trainer.inventory, form=asdict(trainer.form)), folder)

    def load(self, folder: Path) -> Labeller:
        """The student in `folder`, on the GPU if there is one. Raises ModelError."""
        card = CausalCard.read(folder, "causal")
        tokenizer, model = _pretrained(str(folder), dropout=None)
        pieces = PromptPieces(tokenizer, PromptForm(**card.form))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return CausalLabeller(model.to(device).eval(), pieces, card.settings)


def _start(job: TrainingJob, form: PromptForm, symbols: Sequence[str]) -> tuple[PromptPieces, Any]:
    """The tokenizer and model that the job starts from."""
    if job.init is None and job.student.model == "scratch":
        texts = [example.source for example in read_rows(job.raw_text, Example)]
        pieces = PromptPieces(scratch_tokenizer(texts, job.student.scratch.vocabulary, form, symbols), form)
        return pieces, _small_llama(job, pieces)
    if job.init is not None:
        CausalCard.read(job.init, "causal")
    tokenizer, model = _pretrained(str(job.init or job.student.model), job.training.dropout)
    if job.student.model == "scratch":
        add_whole(tokenizer, [f" {symbol}" for symbol in symbols])
    fit_embeddings(model, len(tokenizer))
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
    give = "a hub name or a folder of a decoder-only model with safetensors and its tokenizer, or 'scratch'"
    with loading(f"'{name}'", "a causal student", give):
        return load_model(transformers.AutoModelForCausalLM, name, dropout, dropout_keys=("attention_dropout",))


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
    added = pieces.tokenizer.get_added_vocab() if scratch else {}
    known = {added[f" {symbol}"] for symbol in symbols if f" {symbol}" in added}
    before = TEXT_WEIGHT if scratch else 0.0
    segments = []
    for row, output in zip(rows, outputs, strict=True):
        given = pieces.question(row.example.source) if output else []
        learned = pieces.answer(output) if output else pieces.raw(row.example.source)
        source = len(pieces.opening) + len(given)
        fits = source <= job.student.max_source and len(learned) < job.student.max_target
        if source + len(learned) < context and (fits or not output):
            counts = [TEXT_WEIGHT if output and known and piece not in known else 1.0 for piece in learned]
            counts = [row.weight * count for count in [before] * len(given) + counts]
            segments.append(Segment([*given, *learned], counts))
    check_fitting(job, len(segments), len(rows), job.student.max_source, job.student.max_target)
    return segments
