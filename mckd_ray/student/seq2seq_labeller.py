"""A trained sequence-to-sequence student as a labeller: greedy generation in torch, in batches of like length."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mckd_ray.records import Example, Label, Outcome
from mckd_ray.student.automaton import Automaton
from mckd_ray.student.base import Labeller
from mckd_ray.student.endings import Endings
from mckd_ray.student.generation import Decoder, EncoderDecoder, write
from mckd_ray.student.guides import Flags, FreeGuide, Guide, LegalGuide, WriterGuide
from mckd_ray.student.pieces import Pieces
from mckd_ray.student.writers import LegalWriter, Tries
from mckd_ray.tasks.answers import read_answer
from mckd_ray.tasks.base import Inventory, LegalSymbols, Linearisation

BATCH, BATCH_PIECES = 128, 8192
"""At most so many inputs are generated for at once, and so many pieces of input, padding included."""
LARGEST_TABLE = 5_000_000
"""Transitions; then what is legal is found out anew. A batch of long outputs that repeat words adds some 100,000."""


@dataclass(frozen=True)
class Settings:
    """What a student writes, and within which limits (in pieces)."""

    linearisation: Linearisation
    inventory: Inventory
    max_source: int
    max_target: int
    constrain: bool

    def legal(self, example: Example) -> LegalSymbols | None:
        """What may be written for an input; None for any text."""
        return self.linearisation.legal(example, self.inventory) if self.constrain else None


@dataclass(frozen=True, slots=True)
class Output:
    """What a student wrote, whether it came to an end, and the mean log-probability of its pieces."""

    text: str
    ended: bool
    score: float


class Seq2SeqLabeller(Labeller):
    """Labels by greedy generation; of legal symbols only where it is constrained."""

    def __init__(self, model: Any, pieces: Pieces, settings: Settings) -> None:
        """`model`: an encoder-decoder in evaluation mode."""
        self._model, self._pieces, self._settings = model, pieces, settings
        self._tries = Tries(pieces)
        self._automaton = Automaton(self._tries)
        self._ends: Flags = np.zeros(model.get_output_embeddings().weight.shape[0], np.bool_)
        self._ends[pieces.end] = True
        self.engine = f"torch {torch.__version__}"

    def label(self, examples: Sequence[Example]) -> list[Label]:
        """One label for each example, in order. An input that is too long is a failed row."""
        sources = [self._pieces.source(example.source) for example in examples]
        labels: dict[int, Label] = {}
        for batch in batches([len(source) for source in sources], self._settings.max_source):
            written = self._write([examples[index] for index in batch], [sources[index] for index in batch])
            for index, output in zip(batch, written, strict=True):
                labels[index] = label_of(examples[index], output, self._settings)
        return [
            labels.get(index) or too_long(examples[index], len(sources[index]), self._settings)
            for index in range(len(sources))
        ]

    def _write(self, examples: Sequence[Example], sources: Sequence[Sequence[int]]) -> list[Output]:
        """Each example's output."""
        limit, languages = self._settings.max_target, [self._settings.legal(example) for example in examples]
        legal = [language for language in languages if language is not None]
        if not legal:
            return self._follow(FreeGuide(len(examples), limit, self._pieces, self._ends), sources)
        if len(self._automaton) > LARGEST_TABLE:
            self._automaton = Automaton(self._tries)
        outputs = self._follow(LegalGuide(legal, limit, self._automaton, self._tries), sources)
        # Few outputs come to the limit. They are written again, now looking for their end from the start.
        late = [row for row, output in enumerate(outputs) if not output.ended]
        if late:
            hurried = [
                LegalWriter(legal[row], self._tries, limit, Endings(legal[row], self._cost, examples[row].tokens))
                for row in late
            ]
            again = self._follow(WriterGuide(hurried, self._pieces.pad), [sources[row] for row in late])
            for row, output in zip(late, again, strict=True):
                outputs[row] = output
        return outputs

    def _follow(self, guide: Guide, sources: Sequence[Sequence[int]]) -> list[Output]:
        scores = write(self._decoder(sources), guide)
        ended = guide.ended(np.arange(len(guide)))
        return [Output(self._text(guide, row), bool(ended[row]), float(scores[row])) for row in range(len(guide))]

    def _decoder(self, sources: Sequence[Sequence[int]]) -> Decoder:
        return EncoderDecoder(self._model, sources, self._pieces)

    def _text(self, guide: Guide, row: int) -> str:
        return guide.text(row)

    def _cost(self, symbol: str) -> int:
        return len(self._pieces.symbol(symbol))


def batches(lengths: Sequence[int], longest: int) -> Iterator[list[int]]:
    """The places of all `lengths` up to `longest`, in batches of like length."""
    batch: list[int] = []
    for place in sorted((place for place, length in enumerate(lengths) if length <= longest), key=lengths.__getitem__):
        if len(batch) == BATCH or (len(batch) + 1) * lengths[place] > BATCH_PIECES:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def label_of(example: Example, output: Output, settings: Settings) -> Label:
    """The label that an output stands for. Raw text that was cut off is none: nothing tells it from a whole one."""
    linearisation = settings.linearisation
    if not output.ended and (settings.constrain or linearisation.legal(example, settings.inventory) is None):
        reason = f"the output does not end within max_target={settings.max_target} pieces"
        return Label(example.id, "", output.text, Outcome.FAILED, output.score, reason)
    target, outcome, reason = read_answer(output.text, linearisation, example)
    return Label(example.id, target, output.text, outcome, output.score, reason)


def too_long(example: Example, length: int, settings: Settings) -> Label:
    """The failed row of an input of `length` pieces."""
    reason = f"the input has {length} pieces, more than max_source={settings.max_source}"
    return Label(example.id, "", "", Outcome.FAILED, math.nan, reason)
