"""What a model wrote instead of a linearisation of slots, brought back onto the tokens of the input."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from mckd_ray.tasks.slots import OUTSIDE, legal_tags

_FENCED = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_TAG = re.compile(r"[Oo]|[BbIi]-\S+")
_BEFORE, _AFTER = "`'\"*([{", "`'\"*)]},.;:"


def unfence(text: str) -> str:
    """The inside of the first code fence in `text`, or `text` where there is none."""
    fenced = _FENCED.search(text)
    return fenced.group(1) if fenced else text


def read_tag(piece: str) -> str | None:
    """The BIO tag that `piece` stands for, whatever its case and what stands around it; None if it is none."""
    tag = piece.lstrip(_BEFORE).rstrip(_AFTER)
    return tag[0].upper() + tag[1:] if _TAG.fullmatch(tag) else None


def tags_of_words(words: Sequence[tuple[str, str]], tokens: Sequence[str]) -> tuple[str, ...]:
    """Legal tags for `tokens` from the (word, tag) pairs that were written, which may be other words.

    Equal words (but for case) are aligned first; between them characters are, so that merged and split words still
    find their tokens. A token that finds no word gets O; of a word that covers several tokens only the first keeps B-.
    """
    votes = [Counter[int]() for _ in tokens]
    for token, source, weight in _alignment([word for word, _ in words], tokens):
        votes[token][source] += weight
    chosen = [vote.most_common(1)[0][0] if vote else None for vote in votes]
    tags: list[str] = []
    for place, word in enumerate(chosen):
        tag = OUTSIDE if word is None else words[word][1]
        if word is not None and place and chosen[place - 1] == word and tag != OUTSIDE:
            tag = f"I-{tag[2:]}"
        tags.append(tag)
    return legal_tags(tags)


def find_span(value: str, tokens: Sequence[str], taken: Sequence[bool], start: int) -> tuple[int, int] | None:
    """Where in `tokens` the text `value` stands, but for case and word borders, free of `taken` tokens.

    The first place from `start` on, else the first at all; else the longest run of tokens that `value` holds too.
    """
    wanted = "".join(value.split()).casefold()
    places = [
        (begin, end)
        for begin, end in _equal_spans(wanted, [token.casefold() for token in tokens])
        if not any(taken[begin:end])
    ]
    if places:
        return next((place for place in places if place[0] >= start), places[0])
    return _longest_run(value, tokens, taken)


def _alignment(words: Sequence[str], tokens: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """(token, word, shared characters) for what stands for each other."""
    left, right = [token.casefold() for token in tokens], [word.casefold() for word in words]
    for kind, a, a_end, b, b_end in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from ((a + step, b + step, len(left[a + step])) for step in range(a_end - a))
        elif kind == "replace":
            yield from _character_alignment(left, right, range(a, a_end), range(b, b_end))


def _character_alignment(
    left: Sequence[str], right: Sequence[str], tokens: range, words: range
) -> Iterator[tuple[int, int, int]]:
    token_of = [token for token in tokens for _ in left[token]]
    word_of = [word for word in words for _ in right[word]]
    texts = "".join(left[token] for token in tokens), "".join(right[word] for word in words)
    for a, b, size in SequenceMatcher(None, *texts, autojunk=False).get_matching_blocks():
        yield from ((token_of[a + step], word_of[b + step], 1) for step in range(size))


def _equal_spans(wanted: str, tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    for begin in range(len(tokens)):
        text = ""
        for end in range(begin, len(tokens)):
            text += tokens[end]
            if text == wanted:
                yield begin, end + 1
            if len(text) >= len(wanted):
                break


def _longest_run(value: str, tokens: Sequence[str], taken: Sequence[bool]) -> tuple[int, int] | None:
    # A taken token can equal no word, as no word holds a space.
    free = [" " if used else token.casefold() for token, used in zip(tokens, taken, strict=True)]
    words = value.casefold().split()
    run = SequenceMatcher(None, free, words, autojunk=False).find_longest_match(0, len(free), 0, len(words))
    return (run.a, run.a + run.size) if run.size else None
