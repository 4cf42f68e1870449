"""Trees with one tag a token, each behind its token: what a language model that goes on with a text can align."""

from collections.abc import Hashable, Iterable, Sequence
from difflib import SequenceMatcher
from typing import ClassVar, cast

from mckd_ray.errors import LinearisationError
from mckd_ray.records import Example
from mckd_ray.tasks.base import Inventory, LegalSymbols, Linearisation
from mckd_ray.tasks.slot_repair import unfence
from mckd_ray.tasks.tree_tags import TagsLinearisation
from mckd_ray.tasks.trees import UNLABELLED, penn_word

Pairs = list[tuple[str, str]]


class InterleavedTags(Linearisation):
    """`TOKEN1 TAG1 ... TOKENn TAGn`, with the tags of the linearisation `tags`."""

    name: ClassVar[str] = "interleaved"
    tags = TagsLinearisation()

    def linearise(self, target: str, example: Example) -> str:
        """Each token of the tree `target` and its tag, with single spaces between."""
        pairs = zip(example.tokens, self.tags.linearise(target, example).split(" "), strict=True)
        return " ".join(symbol for pair in pairs for symbol in pair)

    def parse(self, text: str, example: Example) -> str:
        """The tree that the tags make; every token must be in its place. Raises LinearisationError."""
        symbols = text.split(" ")
        if tuple(symbols[::2]) != example.tokens:
            raise LinearisationError("the words between the tags are not the tokens of the input")
        return self.tags.parse(" ".join(symbols[1::2]), example)

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
        """Each token, and a tag with which the tags can still become one tree."""
        return LegalInterleaved(example.tokens, self.tags.legal(example, inventory))


class LegalInterleaved(LegalSymbols):
    """Tokens and legal tags in turn. A state is that of the tags, how many stand, and whether a tag is due."""

    def __init__(self, tokens: Sequence[str], tags: LegalSymbols) -> None:
        """`tags`: the language of the tags alone."""
        self._tokens, self._tags = tokens, tags
        self.start: Hashable = (tags.start, 0, False)

    def allowed(self, state: Hashable) -> tuple[str, ...]:
        """The next token, or the tags that may follow it."""
        tags, count, due = cast("tuple[Hashable, int, bool]", state)
        if due:
            return self._tags.allowed(tags)
        return tuple(self._tokens[count : count + 1])

    def complete(self, state: Hashable) -> bool:
        """Whether each token has its tag."""
        tags, _, due = cast("tuple[Hashable, int, bool]", state)
        return not due and self._tags.complete(tags)

    def advance(self, state: Hashable, symbol: str) -> Hashable:
        """The state after `symbol`."""
        tags, count, due = cast("tuple[Hashable, int, bool]", state)
        return (self._tags.advance(tags, symbol), count + 1, False) if due else (tags, count, True)


def _is_tag(piece: str) -> bool:
    """Whether `piece` has a tag's three parts."""
    return piece.count("|") == 2 and piece[0] in "lr"


def _read_pairs(pieces: Sequence[str]) -> Pairs:
    """Each written word with the tag right after it, or X. What looks like a tag is a word where no tag is due."""
    pairs: Pairs = []
    waiting = False
    for piece in pieces:
        if waiting and _is_tag(piece):
            pairs[-1] = (pairs[-1][0], piece)
            waiting = False
        else:
            pairs.append((piece, UNLABELLED))
            waiting = True
    return pairs


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
