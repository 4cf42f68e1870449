"""A trained causal student as a labeller: it goes on with a prompt, greedily, in batches."""

from collections.abc import Sequence
from typing import Any

from mckd_ray.student.causal_text import PromptPieces
from mckd_ray.student.generation import Decoder, DecoderOnly
from mckd_ray.student.guides import FreeGuide, Guide
from mckd_ray.student.seq2seq_labeller import Seq2SeqLabeller, Settings


class CausalLabeller(Seq2SeqLabeller):
    """Labels as a sequence-to-sequence student does; the prompt is the source, and a line the target."""

    def __init__(self, model: Any, pieces: PromptPieces, settings: Settings) -> None:
        """`model`: a causal language model in evaluation mode."""
        super().__init__(model, pieces, settings)
        for piece in range(min(len(pieces), len(self._ends))):
            self._ends[piece] |= "\n" in pieces.tokenizer.decode([piece])

    def _decoder(self, sources: Sequence[Sequence[int]]) -> Decoder:
        return DecoderOnly(self._model, sources, self._pieces)

    def _text(self, guide: Guide, row: int) -> str:
        text = guide.text(row)
        return text.split("\n")[0].strip() if isinstance(guide, FreeGuide) else text
