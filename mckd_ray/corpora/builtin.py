"""The built-in corpus: sentences of the grammar in a general and a target domain, as rows for each task.

A sentence depends on the seed, its role and its index alone, never on how many are drawn.
"""

import random
from collections.abc import Iterator, Mapping
from itertools import count, islice, pairwise
from typing import Any

from mckd_ray.config import CorpusConfig
from mckd_ray.corpora.grammar import Node, grammar
from mckd_ray.errors import DataError

GRAMMAR_VERSION = 1
"""Part of the corpus's fingerprint: raise it when the same seed makes other sentences."""
LENGTHS = range(8, 26)
"""How many tokens a sentence of the constituency task has; commands are shorter."""
GENERAL_ROWS = 8000
"""How many rows the general domain has if its config does not say."""

_SIZES = {"test": 700, "dev": 500, "pool": 2000}
_COMMAND_LENGTHS = range(4, 20)
_INTENTS = ("handle", "move", "give", "study", "make", "meet")
_VOWELS = frozenset("aeiou")


def sizes(config: CorpusConfig) -> dict[str, int]:
    """How many rows of each role a config asks for, in the order in which a sentence is kept for one of them."""
    asked = {"test": config.test, "dev": config.dev, "pool": config.pool}
    chosen = {role: _SIZES[role] if number is None else number for role, number in asked.items()}
    return {"test": chosen["test"], "dev": chosen["dev"], "labelled": config.labelled, "pool": chosen["pool"]}


def target_rows(
    task: str, sizes: Mapping[str, int], seed: int, longest: int | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Rows of the target domain by role, of at most `longest` tokens; no sentence occurs twice.

    Raises DataError if no sentence is that short.
    """
    seen: set[tuple[str, ...]] = set()
    return {
        role: list(islice(_fresh(task, f"{seed}:target:{role}", seen, longest), size)) for role, size in sizes.items()
    }


def general_rows(task: str, rows: int | None, seed: int, longest: int | None = None) -> list[dict[str, Any]]:
    """`rows` rows (default: `GENERAL_ROWS`) of the general domain, otherwise as `target_rows`."""
    return list(islice(_fresh(task, f"{seed}:general:train", set(), longest), rows or GENERAL_ROWS))


def _fresh(task: str, stream: str, seen: set[tuple[str, ...]], longest: int | None) -> Iterator[dict[str, Any]]:
    """Sentence after sentence of a stream, `SEED:DOMAIN:ROLE`, without those in `seen`, to which they are added."""
    _, domain, role = stream.split(":")
    shortest = (LENGTHS if task == "constituency" else _COMMAND_LENGTHS).start
    if longest is not None and longest < shortest:
        raise DataError(f"corpus.max_tokens is {longest}; the built-in corpus has no input under {shortest} tokens.")
    for index in count(1):
        rng = random.Random(f"{stream}:{index}")
        node, intent = _statement(domain, rng) if task == "constituency" else _command(domain, rng)
        tokens = tuple(leaf.word for leaf in node.leaves())
        if tokens not in seen and (longest is None or len(tokens) <= longest):
            seen.add(tokens)
            yield {"id": f"{role}-{index:06d}"} | _ROWS[task](node, intent, list(tokens))


def _statement(domain: str, rng: random.Random) -> tuple[Node, str]:
    """A statement, spelled as one."""
    node, leaves = _drawn(domain, "S.top", LENGTHS, rng)
    leaves[0].word = leaves[0].word[0].upper() + leaves[0].word[1:]
    return node, ""


def _command(domain: str, rng: random.Random) -> tuple[Node, str]:
    """A command and its intent: the frame of its verb."""
    intent = rng.choice(_INTENTS)
    node, _ = _drawn(domain, f"S.ask-{intent}", _COMMAND_LENGTHS, rng)
    return node, intent


def _drawn(domain: str, start: str, lengths: range, rng: random.Random) -> tuple[Node, list[Node]]:
    """A tree from `start` and its words; draws until their number is one of `lengths`."""
    while True:
        # Commas that will be dropped may be over the length.
        node = grammar(domain).draw(start, rng, lengths.stop + 2)
        if node:
            _drop_commas(node)
            leaves = node.leaves()
            if len(leaves) in lengths:
                _spell(leaves)
                return node, leaves


def _drop_commas(root: Node) -> None:
    """Take out a comma that closes a phrase right before other punctuation or at the end, as English does."""
    leaves = root.leaves()
    after = [*leaves[1:], None]
    doomed = {
        id(leaf)
        for leaf, following in zip(leaves, after, strict=True)
        if leaf.word == "," and (following is None or following.label in (",", ".", "CC"))
    }
    if doomed:
        _remove(root, doomed)


def _remove(node: Node, doomed: set[int]) -> None:
    node.children = [child for child in node.children if id(child) not in doomed]
    for child in node.children:
        _remove(child, doomed)


def _spell(leaves: list[Node]) -> None:
    for leaf, following in pairwise(leaves):
        if leaf.word == "a" and following.word[0].lower() in _VOWELS:
            leaf.word = "an"


def _brackets(node: Node) -> str:
    inner = node.word or " ".join(_brackets(child) for child in node.children)
    return f"({node.label} {inner})"


def _roles(node: Node) -> Iterator[tuple[str, list[str]]]:
    """The outermost roles, left to right, each with its words; words without one stand alone under ''."""
    if node.role or node.word:
        yield node.role, [leaf.word for leaf in node.leaves()]
        return
    for child in node.children:
        yield from _roles(child)


def _constituency(node: Node, intent: str, tokens: list[str]) -> dict[str, Any]:
    return {"tokens": tokens, "tree": _brackets(node)}


def _semantic(node: Node, intent: str, tokens: list[str]) -> dict[str, Any]:
    tags: list[str] = []
    for role, words in _roles(node):
        tags += [f"B-{role}"] + [f"I-{role}"] * (len(words) - 1) if role else ["O"] * len(words)
    return {"tokens": tokens, "tags": tags, "intent": intent}


def _text(node: Node, intent: str, tokens: list[str]) -> dict[str, Any]:
    """From a command to its frame: `move | theme: the coins | goal: the bank`."""
    slots = [f"{role}: {' '.join(words)}" for role, words in _roles(node) if role]
    return {"text": " ".join(tokens), "target": " | ".join([intent, *slots])}


_ROWS = {"constituency": _constituency, "semantic": _semantic, "text": _text}
