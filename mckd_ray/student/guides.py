"""What the outputs of a batch may be, and what they have become."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mckd_ray.student.automaton import AMBIGUOUS, ENDED, NO_SYMBOL, Automaton
from mckd_ray.student.pieces import Pieces
from mckd_ray.student.writers import Ids, LegalWriter, Tries
from mckd_ray.tasks.base import LegalSymbols

Flags = npt.NDArray[np.bool_]


class Guide(ABC):
    """The outputs of a batch, each of at most `limit` pieces, its end included.

    `rows` are the numbers of outputs, and come with what belongs to each.
    """

    def __init__(self, count: int, limit: int) -> None:
        """`count` outputs, of which nothing is written."""
        self._limit = limit
        self._pieces: Ids = np.zeros((count, min(limit, 64)), np.int64)
        self._lengths: Ids = np.zeros(count, np.int64)

    def __len__(self) -> int:
        """Outputs."""
        return len(self._lengths)

    def writing(self, rows: Ids) -> Flags:
        """Which of `rows` are not complete, and can go on."""
        flags: Flags = ~self.ended(rows) & (self._lengths[rows] < self._limit)
        return flags

    def take(self, rows: Ids, pieces: Ids, places: Ids) -> None:
        """Go on with these pieces, which stand at `places` of the options."""
        longest = int(self._lengths[rows].max())
        if longest == self._pieces.shape[1]:
            self._pieces = np.pad(self._pieces, ((0, 0), (0, min(longest, self._limit - longest))))
        self._pieces[rows, self._lengths[rows]] = pieces
        self._lengths[rows] += 1

    def ids(self, row: int) -> list[int]:
        """The pieces of an output."""
        ids: list[int] = self._pieces[row, : self._lengths[row]].tolist()
        return ids

    @abstractmethod
    def ended(self, rows: Ids) -> Flags:
        """Which of `rows` are complete."""

    @abstractmethod
    def options(self, rows: Ids) -> Ids | None:
        """The pieces of which one comes next, (R, W), the last ones as often as needed; None for any."""

    @abstractmethod
    def text(self, row: int) -> str:
        """What an output says."""


class FreeGuide(Guide):
    """Any pieces, until one that ends an output."""

    def __init__(self, count: int, limit: int, pieces: Pieces, ends: Flags) -> None:
        """`ends`: for each piece of the model, whether it ends an output."""
        super().__init__(count, limit)
        self._decode, self._ends = pieces.decode, ends
        self._ended: Flags = np.zeros(count, np.bool_)

    def ended(self, rows: Ids) -> Flags:
        """Where the model has written an end."""
        return self._ended[rows]

    def options(self, rows: Ids) -> None:
        """Any piece."""

    def take(self, rows: Ids, pieces: Ids, places: Ids) -> None:
        """Go on with these pieces."""
        super().take(rows, pieces, places)
        self._ended[rows] = self._ends[pieces]

    def text(self, row: int) -> str:
        """What was written."""
        return self._decode(self.ids(row))


class LegalGuide(Guide):
    """What is legal for each input, by one table for all of them."""

    def __init__(self, languages: Sequence[LegalSymbols], limit: int, automaton: Automaton, tries: Tries) -> None:
        """One output in each of `languages`."""
        super().__init__(len(languages), limit)
        self._languages, self._automaton, self._tries = languages, automaton, tries
        self._states: Ids = np.array([automaton.start(legal) for legal in languages], np.int64)
        self._completed: Ids = np.zeros_like(self._pieces)

    def ended(self, rows: Ids) -> Flags:
        """Where the linearisation is complete."""
        flags: Flags = self._states[rows] == ENDED
        return flags

    def options(self, rows: Ids) -> Ids:
        """The pieces with which each output stays legal."""
        return self._automaton.options(self._states[rows])

    def take(self, rows: Ids, pieces: Ids, places: Ids) -> None:
        """Go on with these pieces."""
        super().take(rows, pieces, places)
        more = self._pieces.shape[1] - self._completed.shape[1]
        self._completed = np.pad(self._completed, ((0, 0), (0, more))) if more else self._completed
        self._states[rows], self._completed[rows, self._lengths[rows] - 1] = self._automaton.follow(
            self._states[rows], places
        )

    def text(self, row: int) -> str:
        """The linearisation; empty before its end."""
        if self._states[row] != ENDED:
            return ""
        symbols = self._completed[row, : self._lengths[row]].tolist()
        if AMBIGUOUS not in symbols:
            return " ".join(self._automaton.symbols[symbol] for symbol in symbols if symbol != NO_SYMBOL)
        writer = LegalWriter(self._languages[row], self._tries, self._limit)
        for piece in self.ids(row):
            writer.take(piece)
        return writer.text


class WriterGuide(Guide):
    """What the writer of each output says: slower than a table, but writers know how to end in time."""

    def __init__(self, writers: Sequence[LegalWriter], pad: int) -> None:
        """`pad` is what complete outputs go on with."""
        super().__init__(len(writers), max(writer.limit for writer in writers))
        self._writers, self._pad = writers, pad

    def ended(self, rows: Ids) -> Flags:
        """Where the linearisation is complete."""
        return np.array([writer.ended for writer in self._of(rows)], np.bool_)

    def writing(self, rows: Ids) -> Flags:
        """Which of `rows` are not complete, and can go on."""
        flags: Flags = super().writing(rows) & np.array([len(writer.options()) > 0 for writer in self._of(rows)])
        return flags

    def options(self, rows: Ids) -> Ids:
        """The pieces with which each output stays legal, and can end."""
        each = [[self._pad] if writer.ended else writer.options().tolist() for writer in self._of(rows)]
        width = max(map(len, each))
        return np.array([(ids or [self._pad]) + (ids or [self._pad])[-1:] * (width - len(ids)) for ids in each])

    def take(self, rows: Ids, pieces: Ids, places: Ids) -> None:
        """Go on with these pieces."""
        super().take(rows, pieces, places)
        for writer, piece in zip(self._of(rows), pieces.tolist(), strict=True):
            writer.take(piece)

    def text(self, row: int) -> str:
        """The linearisation; empty before its end."""
        return self._writers[row].text

    def _of(self, rows: Ids) -> list[LegalWriter]:
        return [self._writers[row] for row in rows.tolist()]
