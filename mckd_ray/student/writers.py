"""One output in the making: which pieces may come next, whatever ways there are to read those before.

`LegalWriter` says what is legal, one output at a time; `automaton.py` does so for whole batches.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mckd_ray.student.endings import Endings
from mckd_ray.student.pieces import Pieces
from mckd_ray.tasks.base import LegalSymbols

Ids = npt.NDArray[np.int64]
Path = tuple["Path", str] | None
"""Symbols, last first, as a linked list: paths share their beginnings."""

_TIGHT = 16
"""With so many pieces to spare or fewer, each next symbol is checked for whether the output can still end in time."""


@dataclass(eq=False)
class Node:
    """A node of a trie over the pieces of symbols; `symbols` are those that are complete here.

    More than one is: a tokenizer may write different symbols alike, such as two of unknown characters.
    """

    children: dict[int, "Node"] = field(default_factory=dict)
    symbols: list[str] = field(default_factory=list)
    ids: Ids | None = None
    """The keys of `children` as an array, once it was asked for."""

    def add(self, ids: Sequence[int], symbol: str) -> None:
        """Enter `symbol`."""
        node = self
        for index in ids:
            node = node.children.setdefault(index, Node())
        node.symbols.append(symbol)


class Tries:
    """The tries of sets of allowed symbols, each built once."""

    def __init__(self, pieces: Pieces) -> None:
        """Tries over the pieces of `pieces`."""
        self.pieces = pieces
        self._known: dict[tuple[str, ...], Node] = {}

    def of(self, symbols: tuple[str, ...]) -> Node:
        """The root of the trie of `symbols`."""
        root = self._known.get(symbols)
        if root is None:
            root = Node()
            for symbol in symbols:
                root.add(self.pieces.symbol(symbol), symbol)
            if len(self._known) < 10_000:
                self._known[symbols] = root
        return root


@dataclass(frozen=True)
class _Reading:
    """One way to read the pieces so far: whole symbols that led to `state`, then what led to `node` of the next one."""

    state: Hashable
    path: Path
    node: Node
    may_end: bool


class LegalWriter:
    """A linearisation of the language `legal`, whatever ways there are to read the pieces so far."""

    def __init__(self, legal: LegalSymbols, tries: Tries, limit: int, endings: Endings | None = None) -> None:
        """An output of at most `limit` pieces, its end included; with `endings` one that ends within them if it can."""
        self._legal, self._tries, self.limit = legal, tries, limit
        self._end, self._endings = tries.pieces.end, endings
        self.length = 0
        self._next_check = 0
        self._path: Path = None
        self._ended = False
        self._readings = [self._boundary(legal.start, None)]

    def options(self) -> Ids:
        """The pieces that some reading can go on with; none at all if the output can't go on."""
        if len(self._readings) == 1 and not self._readings[0].may_end:
            first = self._readings[0]
            if first.node.ids is None:
                first.node.ids = np.fromiter(first.node.children, np.int64)
            return first.node.ids
        ids = {index: None for reading in self._readings for index in reading.node.children}
        if any(reading.may_end for reading in self._readings):
            ids[self._end] = None
        return np.fromiter(ids, np.int64)

    def allows(self, piece: int) -> bool:
        """Whether `piece` is one of the options."""
        if piece == self._end:
            return any(reading.may_end for reading in self._readings)
        return any(piece in reading.node.children for reading in self._readings)

    def take(self, piece: int) -> None:
        """Go on with `piece`, one of the options."""
        self.length += 1
        if piece == self._end:
            self._path = next(reading.path for reading in self._readings if reading.may_end)
            self._ended = True
            return
        readings = [after for reading in self._readings for after in self._after(reading, piece)]
        # Of readings that have the same future, the first one stands for all.
        self._readings = list({(each.state, id(each.node)): each for each in reversed(readings)}.values())[::-1]

    def _after(self, reading: _Reading, piece: int) -> Iterator[_Reading]:
        """What `reading` may go on as with `piece`."""
        node = reading.node.children.get(piece)
        if node is None:
            return
        if node.children:
            yield _Reading(reading.state, reading.path, node, may_end=False)
        for symbol in node.symbols:
            state = self._legal.advance(reading.state, symbol)
            yield self._boundary(state, (reading.path, symbol))

    @property
    def ended(self) -> bool:
        """Whether the linearisation is complete."""
        return self._ended

    @property
    def text(self) -> str:
        """The linearisation; empty before its end."""
        path = self._path
        symbols: list[str] = []
        while path is not None:
            path, symbol = path
            symbols.append(symbol)
        return " ".join(reversed(symbols))

    def _boundary(self, state: Hashable, path: Path) -> _Reading:
        symbols = self._legal.allowed(state)
        if self._endings is not None and self.length >= self._next_check:
            symbols = self._in_time(state, symbols, self._endings)
        return _Reading(state, path, self._tries.of(symbols), self._legal.complete(state))

    def _in_time(self, state: Hashable, symbols: tuple[str, ...], endings: Endings) -> tuple[str, ...]:
        """Those of `symbols` after which the output can still end within its limit."""
        room = self.limit - 1 - self.length
        spare = room - endings.distance(state, room)
        if spare < 0:
            return ()
        if spare > _TIGHT:
            self._next_check = self.length + int(spare) // 4
            return symbols
        return tuple(symbol for symbol in symbols if endings.after(state, symbol, room) <= room)
