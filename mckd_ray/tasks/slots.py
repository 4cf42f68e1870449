"""Intent and slots: the canonical string, BIO tags, and the chunks that they stand for."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mckd_ray.errors import DataError

NO_INTENT = "_"
"""The intent of a row whose corpus has none."""
OUTSIDE = "O"
"""The tag of a token that is in no slot."""

_TAG = re.compile(r"O|[BI]-\S+")


@dataclass(frozen=True, slots=True)
class Chunk:
    """The tokens `start` to `end` (exclusive, from 0) fill `slot`."""

    start: int
    end: int
    slot: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """An intent and one BIO tag a token; `str` of it is the canonical target."""

    intent: str
    tags: tuple[str, ...]

    def __str__(self) -> str:
        """`INTENT TAG1 ... TAGn`, joined by single spaces."""
        return " ".join((self.intent, *self.tags))


def read_annotation(target: str) -> Annotation:
    """The annotation that a canonical target stands for, unchecked: the inverse of `str`."""
    intent, *tags = target.split(" ")
    return Annotation(intent, tuple(tags))


def check_annotation(annotation: Annotation, tokens: Sequence[str]) -> None:
    """Raise DataError, with the reason, unless it has an intent and one legal BIO tag for each of `tokens`."""
    if annotation.intent.split() != [annotation.intent]:
        raise DataError(f"the intent '{annotation.intent}' is empty or holds white space: write one word")
    if len(annotation.tags) != len(tokens):
        raise DataError(f"{len(annotation.tags)} tags for {len(tokens)} tokens: each token needs one tag")
    previous = OUTSIDE
    for place, tag in enumerate(annotation.tags, start=1):
        if not _TAG.fullmatch(tag):
            raise DataError(f"token {place} has the tag '{tag}': allowed are O, B-slot and I-slot, without white space")
        if not follows(previous, tag):
            raise DataError(
                f"token {place} has the tag '{tag}' after '{previous}': I- continues B- or I- of its slot only"
            )
        previous = tag


def follows(previous: str, tag: str) -> bool:
    """Whether `tag` may come after `previous` (at the start of a sentence: after O)."""
    return not tag.startswith("I-") or (previous != OUTSIDE and previous[2:] == tag[2:])


def legal_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """`tags` with each I- that continues nothing made a B-: the chunks that conlleval reads stay the same."""
    result: list[str] = []
    for tag in tags:
        previous = result[-1] if result else OUTSIDE
        result.append(tag if follows(previous, tag) else f"B-{tag[2:]}")
    return tuple(result)


def read_chunks(tags: Sequence[str]) -> list[Chunk]:
    """The chunks, left to right, by the rules of conlleval: an I- that continues nothing starts a chunk."""
    starts = [
        place
        for place, tag in enumerate(tags)
        if tag != OUTSIDE and (tag[0] == "B" or not follows(tags[place - 1] if place else OUTSIDE, tag))
    ]
    return [Chunk(start, _chunk_end(tags, start), tags[start][2:]) for start in starts]


def write_chunks(chunks: Iterable[Chunk], length: int) -> tuple[str, ...]:
    """The BIO tags of a sentence of `length` tokens with these disjoint chunks: the inverse of `read_chunks`."""
    tags = [OUTSIDE] * length
    for chunk in chunks:
        tags[chunk.start : chunk.end] = [f"I-{chunk.slot}"] * (chunk.end - chunk.start)
        tags[chunk.start] = f"B-{chunk.slot}"
    return tuple(tags)


def _chunk_end(tags: Sequence[str], start: int) -> int:
    end = start + 1
    while end < len(tags) and tags[end] == f"I-{tags[start][2:]}":
        end += 1
    return end
