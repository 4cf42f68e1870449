"""Which symbols may come next while a `frame` is written: exactly the frames of one input, and nothing else."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from mckd_ray.tasks.base import Inventory, LegalSymbols
from mckd_ray.tasks.slots import NO_INTENT


def escape_word(word: str) -> str:
    """`word` with a backslash before each backslash and semicolon."""
    return word.replace("\\", "\\\\").replace(";", "\\;")


def escape_name(slot: str) -> str:
    """The slot's name with a backslash before each backslash, semicolon and opening square bracket."""
    return escape_word(slot).replace("[", "\\[")


@dataclass(frozen=True, slots=True)
class FrameState:
    """`at`: what comes next. The last slot ended before token `cursor`; the open slot has mark `mark` (0: none).

    Its first `length` words are written; the first place from `cursor` on where they stand is `first`.
    """

    at: Literal["begin", "intent", "slot", "words", "end"]
    cursor: int = 0
    mark: int = 0
    first: int = 0
    length: int = 0


class FrameSymbols(LegalSymbols):
    """The frames of one input, as an automaton.

    A slot's name, mark and colon are one symbol; so are a word and the semicolon after it.
    """

    start: Hashable = FrameState("begin")

    def __init__(self, tokens: Sequence[str], inventory: Inventory) -> None:
        """`inventory`: `intents` and `slots`."""
        self._tokens = tuple(tokens)
        self._words = [escape_word(token) for token in tokens]
        self._intents = tuple(escape_word(intent) for intent in inventory["intents"] or (NO_INTENT,))
        self._slots = tuple(escape_name(slot) for slot in inventory["slots"])
        self._shared = _shared_lengths(self._tokens)

    def allowed(self, state: Hashable) -> tuple[str, ...]:
        """What may come next in a frame that is still the canonical one of some annotation."""
        here = cast("FrameState", state)
        if here.at == "begin":
            return ("intent:",)
        if here.at == "intent":
            more = tuple(f"{intent};" for intent in self._intents) if self._slots and self._tokens else ()
            return self._intents + more
        if here.at == "slot":
            return tuple(self._names(here.cursor))
        return tuple(symbol for symbol, _ in self._next_words(here)) if here.at == "words" else ()

    def complete(self, state: Hashable) -> bool:
        """Whether the frame may end: after the intent, or after words that stand where they must."""
        here = cast("FrameState", state)
        return here.at == "end" or (here.at == "words" and here.length > 0 and self._place(here) is not None)

    def advance(self, state: Hashable, symbol: str) -> Hashable:
        """The state after `symbol`."""
        here = cast("FrameState", state)
        if here.at == "begin":
            return FrameState("intent")
        if here.at == "intent":
            return FrameState("end") if symbol in self._intents else FrameState("slot")
        if here.at == "slot":
            return FrameState("words", here.cursor, self._names(here.cursor)[symbol], here.cursor)
        return next(after for word, after in self._next_words(here) if word == symbol)

    def _next_words(self, here: FrameState) -> Iterator[tuple[str, FrameState]]:
        seen = set()
        for start in self._matches(here):
            at = start + here.length
            if at == len(self._tokens) or self._words[at] in seen:
                continue
            seen.add(self._words[at])
            longer = FrameState("words", here.cursor, here.mark, start, here.length + 1)
            if self._can_end(longer):
                yield self._words[at], longer
            place = self._place(longer)
            if place is not None and place + longer.length < len(self._tokens):
                yield f"{self._words[at]};", FrameState("slot", place + longer.length)

    def _matches(self, here: FrameState) -> Iterator[int]:
        """The places from the cursor on where the words of the open slot stand, left to right."""
        return (
            start for start in range(here.first, len(self._tokens)) if self._shared[here.first][start] >= here.length
        )

    def _place(self, here: FrameState) -> int | None:
        """Where the words of the open slot stand if nothing is added; None if that can't be written so."""
        if not here.mark:
            return here.first
        marks = ((start, self._mark(here.cursor, start, here.length)) for start in self._matches(here))
        return next((start for start, mark in marks if mark == here.mark), None)

    def _can_end(self, here: FrameState) -> bool:
        """Whether the words, or more words after them, stand where the mark says."""
        return not here.mark or any(
            self._mark(here.cursor, start, length) == here.mark
            for start in self._matches(here)
            for length in range(here.length, len(self._tokens) - start + 1)
        )

    def _mark(self, cursor: int, start: int, length: int) -> int:
        """The mark that the words at `start` need: 0 if they stand nowhere between the cursor and `start`."""
        before = [earlier for earlier in range(start) if self._shared[earlier][start] >= length]
        return len(before) + 1 if before and before[-1] >= cursor else 0

    def _names(self, cursor: int) -> dict[str, int]:
        """The symbols that open a slot, and their marks: all that some words from `cursor` on need, and none."""
        marks = {0}
        for start in range(cursor + 1, len(self._tokens)):
            longest = max(self._shared[earlier][start] for earlier in range(cursor, start))
            marks.update(self._mark(cursor, start, length) for length in range(1, longest + 1))
        written = {mark: f"[{mark}]" if mark else "" for mark in sorted(marks)}
        return {f"{slot}{text}:": mark for slot in self._slots for mark, text in written.items()}


def _shared_lengths(tokens: Sequence[str]) -> list[list[int]]:
    """How many words from place a on equal those from place b on, for all a and b."""
    size = len(tokens)
    shared = [[0] * (size + 1) for _ in range(size + 1)]
    for a in range(size - 1, -1, -1):
        for b in range(size - 1, -1, -1):
            if tokens[a] == tokens[b]:
                shared[a][b] = shared[a + 1][b + 1] + 1
    return [row[:size] for row in shared]
