"""The legal outputs of many inputs as one table over pieces, so that a step of a whole batch is a look-up.

A state of the table is a set of readings (see `writers.py`). States are made as they are reached; inputs whose
languages are the same share theirs, so with closed vocabularies nearly all are there after a few inputs.
"""

from collections.abc import Hashable, Iterator
from typing import NamedTuple

import numpy as np

from mckd_ray.student.writers import Ids, Node, Tries
from mckd_ray.tasks.base import LegalSymbols

ENDED = 0
"""The state behind the end; it goes on with padding, and leads to itself."""
UNKNOWN = -1
"""Where a transition leads that nobody has gone yet."""
NO_SYMBOL, AMBIGUOUS = 0, -1
"""What a transition completes where it is no symbol, or where there are several ways to read the pieces."""


class _Reading(NamedTuple):
    """Whole symbols that led to `state` of the language, then pieces that led to `node` of the next symbol."""

    state: Hashable
    node: Node
    may_end: bool


class _State(NamedTuple):
    """What a number of the table stands for."""

    legal: LegalSymbols
    readings: tuple[_Reading, ...]


class Automaton:
    """The table: of each state the pieces that may come next, where they lead, and which symbol they complete.

    The transitions of a state lie side by side in flat arrays.
    """

    def __init__(self, tries: Tries) -> None:
        """Without any language yet; all that come must be of one linearisation and inventory."""
        self._tries, self._end = tries, tries.pieces.end
        self._states: list[_State] = []
        """From state 1 on."""
        self._known: dict[Hashable, int] = {}
        self.symbols = [""]
        """The symbols that transitions complete, by number."""
        self._numbers: dict[str, int] = {}
        self._count, self._first = _Column(), _Column()
        self._pieces, self._next, self._completes = _Column(), _Column(), _Column()
        self._new_counts, self._new_pieces = [1], [tries.pieces.pad]
        self._settle()
        self._next.values[:] = ENDED

    def __len__(self) -> int:
        """Transitions in the table."""
        return len(self._pieces.values)

    def start(self, legal: LegalSymbols) -> int:
        """The state before the first piece of an output in this language."""
        return self._state(legal, (self._boundary(legal, legal.start),))

    def options(self, states: Ids) -> Ids:
        """The pieces that may follow each of R states, (R, W); short rows are filled up with their last one."""
        self._settle()
        count = self._count.values[states]
        steps = np.minimum(np.arange(count.max()), count[:, None] - 1)
        options: Ids = self._pieces.values[self._first.values[states][:, None] + steps]
        return options

    def follow(self, states: Ids, places: Ids) -> tuple[Ids, Ids]:
        """The states after the options at `places`, and the numbers of the symbols that they complete, (R,) each."""
        # A place behind a row's own options holds the last of them.
        at = self._first.values[states] + np.minimum(places, self._count.values[states] - 1)
        new = self._next.values[at] == UNKNOWN
        for state, transition in zip(states[new].tolist(), at[new].tolist(), strict=True):
            if self._next.values[transition] == UNKNOWN:
                self._go(state, transition)
        return self._next.values[at], self._completes.values[at]

    def _go(self, state: int, transition: int) -> None:
        """Find out where a transition leads."""
        piece, here = int(self._pieces.values[transition]), self._states[state - 1]
        if piece == self._end:
            self._next.values[transition] = ENDED
            self._completes.values[transition] = AMBIGUOUS if len(here.readings) > 1 else NO_SYMBOL
            return
        after = [found for reading in here.readings for found in self._after(here.legal, reading, piece)]
        # Of readings that have the same future, one stands for all.
        readings = {(reading.state, id(reading.node)): reading for reading, _ in after}
        self._next.values[transition] = self._state(here.legal, tuple(readings.values()))
        alone = len(here.readings) == len(after) == 1
        self._completes.values[transition] = self._number(after[0][1]) if alone else AMBIGUOUS

    def _after(self, legal: LegalSymbols, reading: _Reading, piece: int) -> Iterator[tuple[_Reading, str]]:
        """What a reading may go on as with `piece`, and the symbol that this completes, if any."""
        node = reading.node.children.get(piece)
        if node is None:
            return
        if node.children:
            yield _Reading(reading.state, node, False), ""
        for symbol in node.symbols:
            yield self._boundary(legal, legal.advance(reading.state, symbol)), symbol

    def _boundary(self, legal: LegalSymbols, state: Hashable) -> _Reading:
        return _Reading(state, self._tries.of(legal.allowed(state)), legal.complete(state))

    def _state(self, legal: LegalSymbols, readings: tuple[_Reading, ...]) -> int:
        """The number of the state with these readings."""
        key = (legal.language, *((reading.state, id(reading.node)) for reading in readings))
        number = self._known.get(key)
        if number is None:
            self._states.append(_State(legal, readings))
            number = self._known[key] = len(self._states)
            options = list(dict.fromkeys(piece for reading in readings for piece in reading.node.children))
            if any(reading.may_end for reading in readings):
                options.append(self._end)
            self._new_counts.append(len(options))
            self._new_pieces += options
        return number

    def _settle(self) -> None:
        """Enter the states that were made since the last step into the table."""
        if self._new_counts:
            counts = np.array(self._new_counts)
            self._first.extend(len(self) + np.cumsum(counts) - counts)
            self._count.extend(counts)
            self._pieces.extend(np.array(self._new_pieces))
            self._next.extend(np.full(len(self._new_pieces), UNKNOWN))
            self._completes.extend(np.full(len(self._new_pieces), NO_SYMBOL))
            self._new_counts, self._new_pieces = [], []

    def _number(self, symbol: str) -> int:
        if symbol and symbol not in self._numbers:
            self._numbers[symbol] = len(self.symbols)
            self.symbols.append(symbol)
        return self._numbers.get(symbol, NO_SYMBOL)


class _Column:
    """Whole numbers, to which more can be added."""

    def __init__(self) -> None:
        self._room: Ids = np.zeros(1024, np.int64)
        self.values = self._room[:0]

    def extend(self, values: Ids) -> None:
        """Append values, making room for twice as many where there is none."""
        before, size = len(self.values), len(self.values) + len(values)
        if size > len(self._room):
            room = np.zeros(max(size, 2 * len(self._room)), np.int64)
            room[:before] = self.values
            self._room = room
        self._room[before:size] = values
        self.values = self._room[:size]
