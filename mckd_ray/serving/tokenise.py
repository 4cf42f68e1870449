"""From raw text to the tokens that a task's corpora have, each with its place in the text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

Span = tuple[int, int]
"""Where something stands in the text: characters from 0, the end exclusive."""

_WORD = re.compile(r"\S+")
_BRACKETS = {"(": "-LRB-", ")": "-RRB-", "{": "-LCB-", "}": "-RCB-"}
"""As the Penn Treebank writes them; square brackets stand as they are, as in CRAFT."""
_QUOTES = {"``", "''"}
_AS_WRITTEN = ("``", "''", '"')


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text as the corpus writes them, and their spans in the text."""

    words: tuple[str, ...]
    spans: tuple[Span, ...]


def tokenise(text: str, task: str) -> Tokens:
    """The tokens of `text`: the Penn Treebank's for constituency, else what stands between white space.

    As in the treebank, round and curly brackets become -LRB- and so on, and double quotes `` and ''.
    """
    if task == "constituency":
        try:
            return _aligned(text, _penn().tokenize(text))
        except (ValueError, TimeoutError):
            pass  # What the tokenizer changed beyond its conventions is left as it stands between white space.
    spans = tuple(match.span() for match in _WORD.finditer(text))
    return Tokens(tuple(text[start:end] for start, end in spans), spans)


def _aligned(text: str, tokens: Iterable[str]) -> Tokens:
    """`tokens` with their spans. Raises ValueError where they are not the text without its white space."""
    words: list[str] = []
    spans: list[Span] = []
    at = 0
    for token in tokens:
        while text[at : at + 1].isspace():
            at += 1
        options = _AS_WRITTEN if token in _QUOTES else (token,)
        written = next((option for option in options if text.startswith(option, at)), "")
        if not written:
            raise ValueError(f"the token {token!r} is not at character {at}")
        words.append(_BRACKETS.get(token, token))
        spans.append((at, at + len(written)))
        at += len(written)
    if text[at:].strip():
        raise ValueError(f"no token stands for the text from character {at}")
    return Tokens(tuple(words), tuple(spans))


@cache
def _penn() -> Any:
    """NLTK's tokenizer, which needs no data; imported here, as it takes seconds."""
    from nltk.tokenize.destructive import NLTKWordTokenizer

    return NLTKWordTokenizer()
