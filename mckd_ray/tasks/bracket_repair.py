"""Trees from broken answers: the nearest valid tree over the given tokens, for any text whatever.

The part of the text that looks most like the answer is read as brackets and words; its words are aligned with the
tokens; brackets keep the tokens that their words stand for. Brackets around nothing vanish, tokens that the text left
out join the smallest constituent around their place, and brackets without partners are closed or ignored late.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import accumulate, islice
from typing import NamedTuple

from mckd_ray.tasks.trees import UNLABELLED, WRAPPERS, Tree, penn_word

MAX_CHAIN = 8
"""Constituents of the same words that are kept; the rest are what a model writes that has lost count."""

_UNLABELLED_PIECES = re.compile(r"(\()()|(\))|([^\s()]+)")
_LABELLED_PIECES = re.compile(r"(\()\s*(?:([^\s()]++)(?!\s*\)))?|(\))|([^\s()]+)")
_FENCED = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)


class _Event(NamedTuple):
    kind: str
    """`(`, `)` or `w` (a word)."""
    name: str = ""
    """Of `(`: its label; of `w`: the word."""
    tag: str = ""
    """Of `w`: its part of speech, where the text says one."""


class _Span(NamedTuple):
    start: int
    end: int
    label: str


def repair_words(text: str, tokens: Sequence[str]) -> Tree:
    """An unlabelled tree over `tokens` (one at least) with the constituents of `text` that can be told from it."""
    spans, _ = _read(text, tokens, _UNLABELLED_PIECES)
    several = [span for span in spans if span.end - span.start > 1]
    return _build(_with_root(several, tokens), [UNLABELLED] * len(tokens), tokens)


def repair_labelled(text: str, tokens: Sequence[str]) -> Tree:
    """A labelled tree over `tokens` (one at least): as `repair_words`; labels and tags not told are X."""
    spans, tags = _read(text, tokens, _LABELLED_PIECES)
    return _build(_with_root(spans, tokens), tags, tokens)


def _read(text: str, tokens: Sequence[str], pieces: re.Pattern[str]) -> tuple[list[_Span], list[str]]:
    """The text's constituents, outer ones first, as spans of tokens, and the tag of each token."""
    events = _words_apart(_best_part(text, tokens, pieces))
    words = [event for event in events if event.kind == "w"]
    ranges = _align([word.name for word in words], tokens)
    tags = [UNLABELLED] * len(tokens)
    for word, (start, end) in zip(words, ranges, strict=True):
        tags[start:end] = [_clean(word.tag)] * (end - start)
    used = [(index, found) for index, found in enumerate(ranges) if found[0] < found[1]]
    spans = []
    for first, last, label in _brackets(events):
        inside = used[bisect_left(used, (first,)) : bisect_left(used, (last,))]
        if inside:
            spans.append(_Span(inside[0][1][0], inside[-1][1][1], _clean(label)))
    return _stretched([span for span in spans if span.label not in WRAPPERS], len(tokens)), tags


def _best_part(text: str, tokens: Sequence[str], pieces: re.Pattern[str]) -> list[_Event]:
    """The whole text, a fenced block, paragraph or line of it: the one whose words are most nearly the tokens."""
    parts = [text]
    if "\n" in text.strip():
        parts += [*_FENCED.findall(text), *re.split(r"\n\s*\n", text), *text.splitlines()]
    with_brackets = [part for part in dict.fromkeys(parts) if "(" in part] or [text]
    wanted = Counter(_key(token) for token in tokens)
    # A runaway answer says nothing more than its beginning, and aligning it takes quadratic time.
    longest = 8 * len(tokens) + 256

    def likeness(events: list[_Event]) -> tuple[float, int]:
        words = Counter(_key(event.name) for event in events if event.kind == "w")
        overlap = (words & wanted).total()
        return overlap / (words.total() + len(tokens)), len(events) - words.total()

    return max((_events(part, pieces, longest) for part in with_brackets), key=likeness)


def _events(text: str, pieces: re.Pattern[str], longest: int) -> list[_Event]:
    found = (match.groups("") for match in islice(pieces.finditer(text), longest))
    return [
        _Event("(", label) if opening else _Event(")") if closing else _Event("w", word)
        for opening, label, closing, word in found
    ]


def _words_apart(events: Sequence[_Event]) -> list[_Event]:
    """`events` without the brackets around single words, whose labels become tags.

    A word that lacks one side of its bracket takes it where that makes the whole more balanced; else it is a bare word
    in a constituent's bracket, as in `(NP the cat)`.
    """
    surplus = _surplus(events)
    kept: list[_Event] = []
    position = 0
    while position < len(events):
        event = events[position]
        position += 1
        if event.kind != "w":
            kept.append(event)
            continue
        opened = bool(kept) and kept[-1].kind == "("
        closed = position < len(events) and events[position].kind == ")"
        if opened != closed and (surplus > 0) == closed and surplus:
            surplus += 1 if opened else -1
        elif not (opened and closed):
            opened = closed = False
        kept.append(event._replace(tag=kept.pop().name if opened else ""))
        position += closed
    return kept


def _surplus(events: Sequence[_Event]) -> int:
    """How many more brackets close than open."""
    return sum((event.kind == ")") - (event.kind == "(") for event in events)


def _brackets(events: Sequence[_Event]) -> list[tuple[int, int, str]]:
    """`(first word, word after the last, label)` of each bracket, in the order of opening.

    What is never closed ends with the text. A closing bracket too many is ignored where it would close the outermost
    bracket before the last word.
    """
    surplus, total = _surplus(events), sum(event.kind == "w" for event in events)
    found: list[tuple[int, int, str]] = []
    stack: list[int] = []
    words = 0
    for event in events:
        if event.kind == "w":
            words += 1
        elif event.kind == "(":
            stack.append(len(found))
            found.append((words, total, event.name))
        elif len(stack) == 1 and surplus > 0 and words < total:
            surplus -= 1
        elif stack:
            index = stack.pop()
            found[index] = (found[index][0], words, found[index][2])
    return found


def _align(words: Sequence[str], tokens: Sequence[str]) -> list[tuple[int, int]]:
    """For each word the range of tokens that it stands for: one as a rule, none for a word of no input."""
    left, right = [_key(word) for word in words], [_key(token) for token in tokens]
    if left == right:
        return [(index, index + 1) for index in range(len(tokens))]
    ranges: list[tuple[int, int]] = []
    for kind, i, i_end, j, j_end in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "delete":
            ranges += [(j, j)] * (i_end - i)
        elif i_end - i == j_end - j:
            ranges += [(index, index + 1) for index in range(j, j_end)]
        elif kind == "replace":
            ranges += [(j + start, j + end) for start, end in _share(left[i:i_end], right[j:j_end])]
    return ranges


def _share(words: Sequence[str], tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Merged or split words: each token goes to the word that holds the middle of its characters."""
    ends = list(accumulate(len(word) for word in words))
    scale = ends[-1] / sum(len(token) for token in tokens)
    token_ends = list(accumulate(len(token) for token in tokens))
    owners = [bisect_right(ends, scale * (end - len(token) / 2)) for token, end in zip(tokens, token_ends, strict=True)]
    return [(bisect_left(owners, index), bisect_right(owners, index)) for index in range(len(words))]


def _stretched(spans: list[_Span], size: int) -> list[_Span]:
    """`spans` with the outermost bracket around all words of the text stretched to all tokens."""
    if spans:
        start, end = min(span.start for span in spans), max(span.end for span in spans)
        root = next((index for index, span in enumerate(spans) if (span.start, span.end) == (start, end)), None)
        if root is not None:
            return [*spans[:root], spans[root]._replace(start=0, end=size), *spans[root + 1 :]]
    return spans


def _with_root(spans: Sequence[_Span], tokens: Sequence[str]) -> list[_Span]:
    """`spans` with a root over all tokens and no endless chains, outer ones first."""
    size = len(tokens)
    ordered = sorted(spans, key=lambda span: (span.start, -span.end))
    if size > 1 and (not ordered or ordered[0][:2] != (0, size)):
        ordered.insert(0, _Span(0, size, UNLABELLED))
    counts: Counter[tuple[int, int]] = Counter()
    kept = []
    for span in ordered:
        counts[span[:2]] += 1
        if counts[span[:2]] <= MAX_CHAIN:
            kept.append(span)
    return kept


def _build(spans: Sequence[_Span], tags: Sequence[str], tokens: Sequence[str]) -> Tree:
    """The tree with `spans` (nested, outer ones first, the first one over all tokens)."""
    waiting = list(reversed(spans))
    stack: list[tuple[_Span, list[Tree]]] = []
    node = Tree(tags[0], (), penn_word(tokens[0]))
    for position, (tag, token) in enumerate(zip(tags, tokens, strict=True)):
        while waiting and waiting[-1].start == position:
            stack.append((waiting.pop(), []))
        node = Tree(tag, (), penn_word(token))
        while stack:
            stack[-1][1].append(node)
            if stack[-1][0].end != position + 1:
                break
            span, children = stack.pop()
            node = Tree(span.label, tuple(children))
    return node


def _key(word: str) -> str:
    return penn_word(word).lower()


def _clean(label: str) -> str:
    """`label` without what a label may not hold; X if nothing is left."""
    return label.split("|")[0] or UNLABELLED
