"""A trained causal student as a labeller: it goes on with a prompt, greedily, in batches."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import transformers

from mckd_ray.records import Example
from mckd_ray.student.causal_text import PromptPieces
from mckd_ray.student.generation import FreeWriter, LegalWriter, Writer
from mckd_ray.student.pieces import Pieces
from mckd_ray.student.seq2seq_labeller import Seq2SeqLabeller, Settings


class CausalLabeller(Seq2SeqLabeller):
    """Labels as a sequence-to-sequence student does; the prompt is the source, and a line the target."""

    def __init__(self, model: Any, pieces: PromptPieces, settings: Settings) -> None:
        """`model`: a causal language model in evaluation mode."""
        super().__init__(model, pieces, settings)

    def _write(self, examples: Sequence[Example], sources: Sequence[Sequence[int]]) -> list[tuple[Writer, float]]:
        writers = [self._writer(example, hurry=False) for example in examples]
        scores = _write(self._model, sources, writers, self._pieces)
        late = [row for row, writer in enumerate(writers) if isinstance(writer, LegalWriter) and not writer.ended]
        if late:
            again = [self._writer(examples[row], hurry=True) for row in late]
            new = _write(self._model, [sources[row] for row in late], again, self._pieces)
            for row, writer, score in zip(late, again, new, strict=True):
                writers[row], scores[row] = writer, score
        return list(zip(writers, scores, strict=True))

    def _writer(self, example: Example, hurry: bool) -> Writer:
        writer = super()._writer(example, hurry)
        return LineWriter(self._pieces, writer.limit) if isinstance(writer, FreeWriter) else writer


class LineWriter(FreeWriter):
    """Any pieces, until the end of the line."""

    def take(self, piece: int) -> None:
        """Go on with `piece`."""
        super().take(piece)
        self._ended = self._ended or "\n" in self._pieces.tokenizer.decode([piece])

    @property
    def text(self) -> str:
        """The line."""
        return super().text.split("\n")[0].strip()


class _Following(transformers.LogitsProcessor):
    """Leaves each row the likeliest piece of what its writer allows, and the end to one that can't go on."""

    def __init__(self, writers: Sequence[Writer], end: int) -> None:
        self._writers, self._end = writers, end
        self.sums = [0.0] * len(writers)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        logits = scores.float().cpu()
        likeliest = logits.argmax(1).tolist()
        totals = logits.logsumexp(1).tolist()
        chosen = torch.full_like(logits, -torch.inf)
        for row, writer in enumerate(self._writers):
            piece = self._choose(writer, logits[row], likeliest[row])
            if piece is not None:
                writer.take(piece)
                self.sums[row] += float(logits[row, piece]) - totals[row]
            done = writer.ended or writer.length >= writer.limit
            chosen[row, self._end if piece is None or done else piece] = 0.0
        return chosen.to(scores.device)

    def _choose(self, writer: Writer, logits: torch.Tensor, likeliest: int) -> int | None:
        if writer.ended or writer.length >= writer.limit:
            return None
        options = writer.options()
        if options is None:
            return likeliest
        return int(options[int(logits[torch.from_numpy(options)].argmax())]) if len(options) else None


@torch.inference_mode()
def _write(model: Any, sources: Sequence[Sequence[int]], writers: Sequence[Writer], pieces: Pieces) -> list[float]:
    """Let `model` write the outputs of `writers`, each behind its source; returns mean log-probabilities."""
    width = max(map(len, sources))
    ids = torch.tensor([[pieces.pad] * (width - len(source)) + list(source) for source in sources])
    mask = torch.tensor([[0] * (width - len(source)) + [1] * len(source) for source in sources])
    following = _Following(writers, pieces.end)
    settings: Any = transformers.GenerationConfig
    model.generate(
        ids.to(model.device),
        attention_mask=mask.to(model.device),
        generation_config=settings(
            do_sample=False,
            max_new_tokens=max(writer.limit for writer in writers),
            eos_token_id=pieces.end,
            pad_token_id=pieces.pad,
        ),
        logits_processor=transformers.LogitsProcessorList([following]),
    )
    return [
        total / writer.length if writer.length else math.nan
        for total, writer in zip(following.sums, writers, strict=True)
    ]
