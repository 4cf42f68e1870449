"""A trained sequence-to-sequence student as a labeller."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mckd_ray.records import Example, Label, Outcome
from mckd_ray.student.base import Labeller
from mckd_ray.student.endings import Endings
from mckd_ray.student.generation import FreeWriter, LegalWriter, Tries, Writer, write
from mckd_ray.student.pieces import Pieces
from mckd_ray.tasks.answers import read_answer
from mckd_ray.tasks.base import Inventory, Linearisation

BATCH = 64
"""Inputs that are generated for at once."""


@dataclass(frozen=True)
class Settings:
    """What a student writes, and within which limits (in pieces)."""

    linearisation: Linearisation
    inventory: Inventory
    max_source: int
    max_target: int
    constrain: bool


class Seq2SeqLabeller(Labeller):
    """Labels by greedy generation; of legal symbols only where it is constrained."""

    def __init__(self, model: Any, pieces: Pieces, settings: Settings) -> None:
        """`model`: an encoder-decoder in evaluation mode."""
        self._model, self._pieces, self._settings = model, pieces, settings
        self._tries = Tries(pieces)

    def label(self, examples: Sequence[Example]) -> list[Label]:
        """One label for each example, in order. An input that is too long is a failed row."""
        sources = [self._pieces.source(example.source) for example in examples]
        labels: dict[int, Label] = {}
        fitting = [index for index, source in enumerate(sources) if len(source) <= self._settings.max_source]
        fitting.sort(key=lambda index: len(sources[index]))
        for start in range(0, len(fitting), BATCH):
            batch = fitting[start : start + BATCH]
            written = self._write([examples[index] for index in batch], [sources[index] for index in batch])
            for index, (writer, score) in zip(batch, written, strict=True):
                labels[index] = self._label(examples[index], writer, score)
        return [
            labels.get(index) or self._too_long(examples[index], len(sources[index])) for index in range(len(sources))
        ]

    def _write(self, examples: Sequence[Example], sources: Sequence[Sequence[int]]) -> list[tuple[Writer, float]]:
        """Each example's output, with its confidence."""
        writers = [self._writer(example, hurry=False) for example in examples]
        scores = write(self._model, sources, writers, self._pieces)
        # Few outputs come to the limit. They are written again, now looking for their end from the start.
        late = [row for row, writer in enumerate(writers) if isinstance(writer, LegalWriter) and not writer.ended]
        if late:
            again = [self._writer(examples[row], hurry=True) for row in late]
            new = write(self._model, [sources[row] for row in late], again, self._pieces)
            for row, writer, score in zip(late, again, new, strict=True):
                writers[row], scores[row] = writer, score
        return list(zip(writers, scores, strict=True))

    def _writer(self, example: Example, hurry: bool) -> Writer:
        settings = self._settings
        legal = settings.linearisation.legal(example, settings.inventory) if settings.constrain else None
        if legal is None:
            return FreeWriter(self._pieces, settings.max_target)
        endings = Endings(legal, self._cost, example.tokens) if hurry else None
        return LegalWriter(legal, self._tries, settings.max_target, endings)

    def _cost(self, symbol: str) -> int:
        return len(self._pieces.symbol(symbol))

    def _label(self, example: Example, writer: Writer, score: float) -> Label:
        raw, linearisation = writer.text, self._settings.linearisation
        if not writer.ended and (isinstance(writer, LegalWriter) or self._plain(example)):
            reason = f"the output does not end within max_target={self._settings.max_target} pieces"
            return Label(example.id, "", raw, Outcome.FAILED, score, reason)
        target, outcome, reason = read_answer(raw, linearisation, example)
        return Label(example.id, target, raw, outcome, score, reason)

    def _plain(self, example: Example) -> bool:
        """Whether any text is legal, so that nothing tells a text that was cut off from a whole one."""
        return self._settings.linearisation.legal(example, self._settings.inventory) is None

    def _too_long(self, example: Example, length: int) -> Label:
        reason = f"the input has {length} pieces, more than max_source={self._settings.max_source}"
        return Label(example.id, "", "", Outcome.FAILED, math.nan, reason)
