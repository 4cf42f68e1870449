"""The legal outputs of many inputs as one table over pieces, so that a step of a whole batch is a look-up.

A state of the table is a set of readings (see `writers.py`). States are made as they are reached; inputs whose
languages are the same share theirs, so with closed vocabularies nearly all are there after a few inputs.
"""

from collections.abc import Hashable
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


_Readings = tuple[_Reading, ...]


class Automaton:
    """The table: of each state the pieces that may come next, where they lead, and which symbol they complete.

    The transitions of a state lie side by side in flat arrays, in the order of its options. States with the same
    options share them.
    """

    def __init__(self, tries: Tries) -> None:
        """Without any language yet; all that come must be of one linearisation and inventory."""
        self._tries, self._end = tries, tries.pieces.end
        self._states: list[tuple[LegalSymbols, _Readings]] = []
        """What a number of the table stands for, from state 1 on."""
        self._known: dict[tuple[Hashable, _Readings], int] = {}
        self.symbols = [""]
        """The symbols that transitions complete, by number."""
        self._numbers = {"": NO_SYMBOL}
        self._pieces, self._pieces_first, self._pieces_count = _Column(), _Column(), _Column()
        """The options, and where each set of them lies."""
        self._sets: dict[Hashable, int] = {}
        self._set, self._first = _Column(), _Column()
        """Of each state its set of options, and where its transitions begin."""
        self._next, self._completes = _Column(), _Column()
        self._new_sets = [self._add_options([tries.pieces.pad])]
        self._settle()
        self._next.values[:] = ENDED

    def __len__(self) -> int:
        """Transitions in the table."""
        return len(self._next.values)

    def start(self, legal: LegalSymbols) -> int:
        """The state before the first piece of an output in this language."""
        return self._state(legal, (self._boundary(legal, legal.start),))

    def options(self, states: Ids) -> Ids:
        """The pieces that may follow each of R states, (R, W); short rows are filled up with their last one."""
        self._settle()
        sets = self._set.values[states]
        count = self._pieces_count.values[sets]
        places = np.minimum(np.arange(count.max()), count[:, None] - 1)
        options: Ids = self._pieces.values[self._pieces_first.values[sets][:, None] + places]
        return options

    def follow(self, states: Ids, places: Ids) -> tuple[Ids, Ids]:
        """The states after the options at `places`, and the numbers of the symbols that they complete, (R,) each."""
        sets = self._set.values[states]
        # A place behind a row's own options holds the last of them.
        places = np.minimum(places, self._pieces_count.values[sets] - 1)
        at = self._first.values[states] + places
        new = self._next.values[at] == UNKNOWN
        if new.any():
            pieces = self._pieces.values[self._pieces_first.values[sets[new]] + places[new]]
            # Each transition once, though several rows may take it.
            ways = dict(zip(at[new].tolist(), zip(states[new].tolist(), pieces.tolist(), strict=True), strict=True))
            found = np.array([self._go(state, piece) for state, piece in ways.values()])
            self._next.values[list(ways)], self._completes.values[list(ways)] = found.T
        return self._next.values[at], self._completes.values[at]

    def _go(self, number: int, piece: int) -> tuple[int, int]:
        """Where a state leads with `piece`, and the number of the symbol that this completes."""
        legal, readings = self._states[number - 1]
        if piece == self._end:
            return ENDED, AMBIGUOUS if len(readings) > 1 else NO_SYMBOL
        after: list[_Reading] = []
        symbol = ""
        for reading in readings:
            node = reading.node.children.get(piece)
            if node is None:
                continue
            if node.children:
                after.append(_Reading(reading.state, node, False))
            for symbol in node.symbols:
                after.append(self._boundary(legal, legal.advance(reading.state, symbol)))
        if len(readings) == len(after) == 1:
            return self._state(legal, (after[0],)), self._number(symbol)
        # Of readings that have the same future, one stands for all.
        return self._state(legal, tuple(dict.fromkeys(after))), AMBIGUOUS

    def _boundary(self, legal: LegalSymbols, state: Hashable) -> _Reading:
        return _Reading(state, self._tries.of(legal.allowed(state)), legal.complete(state))

    def _state(self, legal: LegalSymbols, readings: _Readings) -> int:
        """The number of the state with these readings."""
        key = (legal.language, readings)
        number = self._known.get(key)
        if number is None:
            self._states.append((legal, readings))
            number = self._known[key] = len(self._states)
            self._new_sets.append(self._options(readings))
        return number

    def _options(self, readings: _Readings) -> int:
        """The number of the set of options with which these readings go on."""
        key = tuple([reading[1:] for reading in readings])
        number = self._sets.get(key)
        if number is None:
            pieces = list(dict.fromkeys(piece for reading in readings for piece in reading.node.children))
            if any(reading.may_end for reading in readings):
                pieces.append(self._end)
            number = self._sets[key] = self._add_options(pieces)
        return number

    def _add_options(self, pieces: list[int]) -> int:
        self._pieces_first.extend(np.array([len(self._pieces.values)]))
        self._pieces_count.extend(np.array([len(pieces)]))
        self._pieces.extend(np.array(pieces))
        return len(self._pieces_count.values) - 1

    def _settle(self) -> None:
        """Enter the states that were made since the last step into the table."""
        if self._new_sets:
            sets = np.array(self._new_sets)
            counts = self._pieces_count.values[sets]
            self._set.extend(sets)
            self._first.extend(len(self) + np.cumsum(counts) - counts)
            self._next.extend(np.full(counts.sum(), UNKNOWN))
            self._completes.extend(np.full(counts.sum(), NO_SYMBOL))
            self._new_sets = []

    def _number(self, symbol: str) -> int:
        number = self._numbers.setdefault(symbol, len(self.symbols))
        if number == len(self.symbols):
            self.symbols.append(symbol)
        return number


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
