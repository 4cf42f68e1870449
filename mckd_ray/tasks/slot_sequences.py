"""Linearisations of intent and slots with one BIO tag a token: `tags`, and the paper's `interleaved`."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cache
from typing import ClassVar, cast

from mckd_ray.errors import DataError, LinearisationError
from mckd_ray.records import Example
from mckd_ray.tasks.base import Inventory, LegalSymbols, Linearisation
from mckd_ray.tasks.slot_repair import read_tag, tags_of_words, unfence
from mckd_ray.tasks.slots import NO_INTENT, OUTSIDE, Annotation, check_annotation, follows, legal_tags, read_annotation

BioState = tuple[int, str]
"""How many symbols are written, and the last tag."""


class BioSequence(Linearisation):
    """What both have in common: the intent first, then one tag a token; in the inventory, intents and tags."""

    words: ClassVar[bool]
    """Whether each token stands before its tag."""

    def linearise(self, target: str, example: Example) -> str:
        """`INTENT TAG ...`, or `INTENT TOKEN TAG ...`."""
        if not self.words:
            return target
        annotation = read_annotation(target)
        pairs = zip(example.tokens, annotation.tags, strict=True)
        return " ".join((annotation.intent, *(piece for pair in pairs for piece in pair)))

    def parse(self, text: str, example: Example) -> str:
        """The canonical target; every word must be in its place, and every tag legal."""
        intent, *rest = text.split(" ")
        if self.words and tuple(rest[::2]) != example.tokens:
            raise LinearisationError("the words between the tags are not the tokens of the input")
        annotation = Annotation(intent, tuple(rest[1::2] if self.words else rest))
        try:
            check_annotation(annotation, example.tokens)
        except DataError as error:
            raise LinearisationError(str(error)) from error
        return str(annotation)

    def repair(self, text: str, example: Example) -> str:
        """What `parse` says if it can, else what `read_pieces` makes of it."""
        text = unfence(text).strip()
        try:
            return self.parse(text, example)
        except LinearisationError:
            return str(self.read_pieces(text.split(), example.tokens))

    @abstractmethod
    def read_pieces(self, pieces: list[str], tokens: Sequence[str]) -> Annotation:
        """A legal annotation of `tokens` near to what any `pieces` (words without white space) say."""

    def inventory(self, rows: Iterable[tuple[str, Example]]) -> Inventory:
        """`intents` and `tags`; O is always one of the tags."""
        intents: set[str] = set()
        tags = {OUTSIDE}
        for target, _ in rows:
            annotation = read_annotation(target)
            intents.add(annotation.intent)
            tags.update(annotation.tags)
        return {"intents": tuple(sorted(intents)), "tags": tuple(sorted(tags))}

    def legal(self, example: Example, inventory: Inventory) -> LegalSymbols:
        """An intent, then for each token (the token and) a tag that may follow the tag before."""
        return BioSymbols(example.tokens if self.words else (), len(example.tokens), inventory)


class Tags(BioSequence):
    """`INTENT TAG1 ... TAGn`: the canonical target itself."""

    name = "tags"
    words = False

    def read_pieces(self, pieces: list[str], tokens: Sequence[str]) -> Annotation:
        """What stands between the first and the last tag, cut or filled with O to the input's length."""
        read = [read_tag(piece) for piece in pieces]
        places = [place for place, tag in enumerate(read) if tag]
        if not places:
            return _untagged(pieces, tokens)
        tags = [tag or OUTSIDE for tag in read[places[0] : places[-1] + 1]][: len(tokens)]
        tags += [OUTSIDE] * (len(tokens) - len(tags))
        intent = pieces[places[0] - 1] if places[0] else NO_INTENT
        return Annotation(intent, legal_tags(tags))


class Interleaved(BioSequence):
    """`INTENT TOKEN1 TAG1 ... TOKENn TAGn`, as in the paper (intent at the front)."""

    name = "interleaved"
    words = True

    def read_pieces(self, pieces: list[str], tokens: Sequence[str]) -> Annotation:
        """The words that were written are aligned with the tokens, which take their tags."""
        pairs = _read_pairs(pieces)
        first = next((place for place, (_, tag) in enumerate(pairs) if tag), None)
        if first is None:
            return _untagged(pieces, tokens)
        before = [word for word, _ in pairs[:first]]
        if len(before) > 1 and tokens and before[-1].casefold() == tokens[0].casefold():
            before.pop()  # the first token, whose tag is missing
        words = [(word, tag or OUTSIDE) for word, tag in pairs[len(before) :]]
        return Annotation(before[-1] if before else NO_INTENT, tags_of_words(words, tokens))


class BioSymbols(LegalSymbols):
    """The legal symbols of both; a state is a `BioState`."""

    start: Hashable = (0, OUTSIDE)

    def __init__(self, words: tuple[str, ...], length: int, inventory: Inventory) -> None:
        """`words`: the tokens to be repeated, or none; `length`: the number of tokens."""
        self._words = words
        self._end = 1 + length * (2 if words else 1)
        self._intents = inventory["intents"] or (NO_INTENT,)
        self._next = _continuations(inventory["tags"])

    @property
    def language(self) -> Hashable:
        """That of all inputs of this length, where no words are repeated."""
        return self if self._words else self._end

    def allowed(self, state: Hashable) -> tuple[str, ...]:
        """The intents, the next token, or the tags that may follow."""
        written, previous = cast("BioState", state)
        if written == 0:
            return self._intents
        if written == self._end:
            return ()
        return (self._words[written // 2],) if self._is_word(written) else self._next[previous]

    def complete(self, state: Hashable) -> bool:
        """Whether every token has its tag."""
        return cast("BioState", state)[0] == self._end

    def advance(self, state: Hashable, symbol: str) -> Hashable:
        """One symbol further."""
        written, previous = cast("BioState", state)
        return written + 1, previous if written == 0 or self._is_word(written) else symbol

    def _is_word(self, written: int) -> bool:
        return bool(self._words) and written % 2 == 1


@cache
def _continuations(tags: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    known = (*tags, OUTSIDE)
    return {previous: tuple(sorted({tag for tag in known if follows(previous, tag)})) for previous in known}


def _untagged(pieces: list[str], tokens: Sequence[str]) -> Annotation:
    """What a text without any tag says: the intent, if it is one word."""
    return Annotation(pieces[0] if len(pieces) == 1 else NO_INTENT, (OUTSIDE,) * len(tokens))


def _read_pairs(pieces: list[str]) -> list[tuple[str, str | None]]:
    """Each written word with the tag right after it, if there is one. A word that looks like a tag stays a word."""
    pairs: list[tuple[str, str | None]] = []
    waiting = False
    for piece in pieces:
        tag = read_tag(piece) if waiting else None
        if tag:
            pairs[-1] = (pairs[-1][0], tag)
        else:
            pairs.append((piece, None))
        waiting = not tag
    return pairs
