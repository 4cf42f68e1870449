"""Trees with one tag a token, written among the tokens: what a language model that goes on with a text can align.

A tag stands one token late, so that whoever writes it has just written the token after its own: a small model that
reads from left to right parses much better so.
"""

from collections.abc import Hashable, Iterable, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import ClassVar, cast

from mckd_ray.errors import LinearisationError
from mckd_ray.records import Example
from mckd_ray.tasks.base import Inventory, LegalSymbols, Linearisation
from mckd_ray.tasks.slot_repair import unfence
from mckd_ray.tasks.tree_tags import TagsLinearisation
from mckd_ray.tasks.trees import UNLABELLED, penn_word

Pairs = list[tuple[str, str]]


class InterleavedTags(Linearisation):
    """`TOKEN1 TOKEN2 TAG1 TOKEN3 TAG2 ... TOKENn TAGn-1 TAGn`, with the tags of the linearisation `tags`."""

    name: ClassVar[str] = "interleaved"
    tags = TagsLinearisation()

    def linearise(self, target: str, example: Example) -> str:
        """The tokens of the tree `target` and their tags, with single spaces between."""
        *tags, last = self.tags.linearise(target, example).split(" ")
        pairs = zip(example.tokens[1:], tags, strict=True)
        return " ".join([example.tokens[0], *(symbol for pair in pairs for symbol in pair), last])

    def parse(self, text: str, example: Example) -> str:
        """The tree that the tags make; every token must be in its place. Raises LinearisationError."""
        first, *symbols = text.split(" ")
        size = 2 * len(example.tokens) - 2
        if (first, *symbols[:size:2]) != example.tokens:
            raise LinearisationError("the words between the tags are not the tokens of the input")
        return self.tags.parse(" ".join([*symbols[1:size:2], *symbols[size:]]), example)

    def repair(self, text: str, example: Example) -> str:
        """What `parse` says if it can, else the tree of the tags whose words are aligned with the tokens."""
        try:
            return self.parse(text, example)
        except LinearisationError:
            pass
        # A runaway answer says nothing more than its beginning.
        pieces = unfence(text).split()[: 8 * len(example.tokens) + 256]
        tags = pieces if all(map(_is_tag, pieces)) else _aligned(_read_pairs(pieces), example.tokens)
        return self.tags.repair(" ".join(tags), example)

    def inventory(self, rows: Iterable[tuple[str, Example]]) -> Inventory:
        """The tags that are used, sorted, under `tag`."""
        return self.tags.inventory(rows)

    def legal(self, example: Example, inventory: Inventory) -> LegalSymbols:
        """The tokens, and tags with which they can still become one tree."""
        return LegalInterleaved(example.tokens, self.tags.legal(example, inventory))


class LegalInterleaved(LegalSymbols):
    """Tokens, and legal tags one token late. A state is that of the tags, how many stand, and how many tokens do."""

    def __init__(self, tokens: Sequence[str], tags: LegalSymbols) -> None:
        """`tags`: the language of the tags alone."""
        self._tokens, self._tags = tokens, tags
        self.start: Hashable = (tags.start, 0, 0)

    def allowed(self, state: Hashable) -> tuple[str, ...]:
        """The next token, or the tags that may follow it."""
        tags, count, words = cast("tuple[Hashable, int, int]", state)
        return (self._tokens[words],) if self._word_is_due(count, words) else self._tags.allowed(tags)

    def complete(self, state: Hashable) -> bool:
        """Whether each token has its tag."""
        return self._tags.complete(cast("tuple[Hashable, int, int]", state)[0])

    def advance(self, state: Hashable, symbol: str) -> Hashable:
        """The state after `symbol`."""
        tags, count, words = cast("tuple[Hashable, int, int]", state)
        if self._word_is_due(count, words):
            return tags, count, words + 1
        return self._tags.advance(tags, symbol), count + 1, words

    def _word_is_due(self, count: int, words: int) -> bool:
        return words < min(count + 2, len(self._tokens))


def _is_tag(piece: str) -> bool:
    """Whether `piece` has a tag's three parts."""
    return piece.count("|") == 2 and piece[0] in "lr"


def _read_pairs(pieces: Sequence[str]) -> Pairs:
    """Each written word with its tag: the first tag is the first word's, and so on; X where there is none."""
    words = [piece for piece in pieces if not _is_tag(piece)]
    tags = [piece for piece in pieces if _is_tag(piece)]
    return list(zip_longest(words, tags[: len(words)], fillvalue=UNLABELLED))


def _aligned(pairs: Pairs, tokens: Sequence[str]) -> list[str]:
    """The tag for each token: that of the same word (but for case), else, between such, of the word in its place."""
    tags = [UNLABELLED] * len(tokens)
    words = [penn_word(word).casefold() for word, _ in pairs]
    wanted = [penn_word(token).casefold() for token in tokens]
    for kind, a, a_end, b, b_end in SequenceMatcher(None, words, wanted, autojunk=False).get_opcodes():
        if kind in ("equal", "replace"):
            for place, (_, tag) in zip(range(b, b_end), pairs[a:a_end], strict=False):
                tags[place] = tag
    return tags
