"""Which symbols may come next while brackets around given words are written.

A state is a small tuple, so that decoding can cache what it allows. Strings end because constituents are counted: so
many may be opened that no tree of CRAFT or PTB comes near, and then only words and closing brackets follow.
"""

from collections.abc import Hashable, Sequence
from enum import IntEnum
from typing import NamedTuple, cast

from mckd_ray.tasks.base import LegalSymbols
from mckd_ray.tasks.trees import UNLABELLED, penn_word

SPARE = 8
"""How many constituents may be opened beyond those that the number of words gives."""


class Phase(IntEnum):
    """What stands at the end of the string."""

    BETWEEN = 0
    """A closing bracket, or nothing yet."""
    OPENED = 1
    """An opening bracket whose first child (unlabelled brackets: or word) is due."""
    TAGGED = 2
    """An opening bracket with the tag of a word, which is due."""
    EITHER = 3
    """An opening bracket with a label that is both a constituent's and a word's."""
    WRITTEN = 4
    """A word, whose bracket must be closed."""


class State(NamedTuple):
    """Where a string of brackets is."""

    words: int
    """Words written and closed."""
    depth: int
    """Constituents that are open."""
    budget: int
    """Constituents that may still be opened."""
    young: int
    """Unlabelled brackets only: constituents opened since the word before the last one; they hold no two words yet."""
    phase: Phase


class _Brackets(LegalSymbols):
    """What both kinds share: where a string ends, and when the innermost constituent may be closed."""

    def __init__(self, tokens: Sequence[str], budget: int) -> None:
        self._words = tuple((penn_word(token),) for token in tokens)
        self.start: Hashable = State(0, 0, budget, 0, Phase.BETWEEN)

    def complete(self, state: Hashable) -> bool:
        """Whether all words are written and all brackets closed."""
        words, depth, _, _, phase = cast("State", state)
        return words == len(self._words) and not depth and phase == Phase.BETWEEN

    def _may_close(self, state: State) -> bool:
        """The root closes last; a constituent of the words linearisation when it holds two words."""
        return state.depth > (1 if state.words < len(self._words) else 0) and not state.young


class LegalBrackets(_Brackets):
    """The `words` linearisations of `tokens` with at most n + 8 constituents, which all have more than one word.

    A string has at most 5n + 16 symbols.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        """`tokens`: the words of one input, one at least."""
        super().__init__(tokens, len(tokens) + SPARE)

    def allowed(self, state: Hashable) -> tuple[str, ...]:
        """Brackets, the next word, or both."""
        state = cast("State", state)
        left = len(self._words) - state.words
        if state.phase == Phase.WRITTEN:
            return (")",)
        if state.phase == Phase.OPENED:
            # A second opening bracket makes the first a constituent, for which two words at least must be left.
            deeper = ("(",) if left > 1 and state.budget else ()
            return deeper + (self._words[state.words] if state.depth or len(self._words) == 1 else ())
        return ((")",) if self._may_close(state) else ()) + (("(",) if left else ())

    def advance(self, state: Hashable, symbol: str) -> Hashable:
        """The state after `symbol`."""
        words, depth, budget, young, phase = cast("State", state)
        if phase == Phase.WRITTEN:
            return State(words + 1, depth, budget, young, Phase.BETWEEN)
        if phase == Phase.OPENED:
            if symbol == "(":
                return State(words, depth + 1, budget - 1, young + 1, Phase.OPENED)
            return State(words, depth, budget, young, Phase.WRITTEN)
        if symbol == "(":
            return State(words, depth, budget, 0, Phase.OPENED)
        return State(words, depth - 1, budget, 0, Phase.BETWEEN)


class LegalLabelledBrackets(_Brackets):
    """The `labelled-words` linearisations of `tokens` with at most 2n + 8 constituents.

    A string has at most 7n + 16 symbols.
    """

    def __init__(self, tokens: Sequence[str], labels: Sequence[str], tags: Sequence[str]) -> None:
        """`tokens`: the words of one input, one at least; `labels` of constituents and `tags` of words (X if empty)."""
        super().__init__(tokens, 2 * len(tokens) + SPARE)
        self._labels = tuple(f"({label}" for label in labels or (UNLABELLED,))
        self._tags = tuple(f"({tag}" for tag in tags or (UNLABELLED,))
        self._both = tuple(dict.fromkeys(self._labels + self._tags))
        self._is_label, self._is_tag = frozenset(self._labels), frozenset(self._tags)
        self._closing = {names: (")", *names) for names in (self._labels, self._tags, self._both)}

    def allowed(self, state: Hashable) -> tuple[str, ...]:
        """Opening brackets with their labels, a closing one, or the next word."""
        state = cast("State", state)
        if state.phase == Phase.WRITTEN:
            return (")",)
        if state.phase == Phase.TAGGED:
            return self._words[state.words]
        if state.phase == Phase.EITHER:
            return self._words[state.words] + self._opening(_as_constituent(state))
        if state.words == len(self._words):
            return (")",) if state.depth else ()
        names = self._opening(state)
        return self._closing[names] if state.phase == Phase.BETWEEN and self._may_close(state) else names

    def advance(self, state: Hashable, symbol: str) -> Hashable:
        """The state after `symbol`."""
        state = cast("State", state)
        if state.phase == Phase.WRITTEN:
            return state._replace(words=state.words + 1, phase=Phase.BETWEEN)
        if symbol == ")":
            return state._replace(depth=state.depth - 1)
        if not symbol.startswith("("):
            return state._replace(phase=Phase.WRITTEN)
        if state.phase == Phase.EITHER:
            state = _as_constituent(state)
        is_label = symbol in self._is_label and state.budget > 0
        is_tag = symbol in self._is_tag and self._word_may_come(state)
        if is_label and is_tag:
            return state._replace(phase=Phase.EITHER)
        return _as_constituent(state) if is_label else state._replace(phase=Phase.TAGGED)

    def _opening(self, state: State) -> tuple[str, ...]:
        if not state.budget:
            return self._tags
        return self._both if self._word_may_come(state) else self._labels

    def _word_may_come(self, state: State) -> bool:
        return state.depth > 0 or len(self._words) == 1


def _as_constituent(state: State) -> State:
    """The state when the bracket that was opened last is a constituent's."""
    return state._replace(depth=state.depth + 1, budget=state.budget - 1, phase=Phase.OPENED)
