"""Labelled constituency trees in Penn brackets: read, write, check, and the spans of their constituents."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mckd_ray.errors import DataError

UNLABELLED = "X"
"""The label of a constituent or word whose label is not known."""

WRAPPERS = frozenset({"", "TOP", "ROOT"})
"""Labels of the outer bracket that treebanks put around a sentence; it is no constituent."""

_PIECES = re.compile(r"\(\s*+([^\s()]++)\s++([^\s()]++)\s*+\)|(\()\s*([^\s()]*)|(\))|([^\s()]+)")


@dataclass(frozen=True, slots=True)
class Tree:
    """A constituent with `children`, or a word (`word` set, no children) under its part-of-speech `label`."""

    label: str
    children: tuple["Tree", ...] = ()
    word: str | None = None

    def leaves(self) -> Iterator["Tree"]:
        """The words, left to right, as leaf nodes."""
        stack = [self]
        while stack:
            node = stack.pop()
            if node.word is not None:
                yield node
            stack.extend(reversed(node.children))

    def __str__(self) -> str:
        """The canonical string: one line, single spaces, round brackets in words escaped (see `penn_word`)."""
        pieces: list[str] = []
        stack: list[Tree | str] = [self]
        while stack:
            node = stack.pop()
            if isinstance(node, str):
                pieces.append(node)
            elif node.word is not None:
                pieces.append(f" ({node.label} {penn_word(node.word)})")
            else:
                pieces.append(f" ({node.label}")
                stack.append(")")
                stack.extend(reversed(node.children))
        return "".join(pieces)[1:]


def penn_word(token: str) -> str:
    """`token` as it stands in bracketed strings: round brackets become `-LRB-` and `-RRB-`, as in the treebank."""
    if "(" in token or ")" in token:
        return token.replace("(", "-LRB-").replace(")", "-RRB-")
    return token


def read_trees(text: str) -> list[Tree]:
    """All bracketed trees in `text`; an outer bracket without a label gets the label ''. Raises DataError."""
    nodes: list[Tree] = []
    stack = [("", nodes)]
    for tag, word, opening, label, closing, stray in _PIECES.findall(text):
        if word:
            nodes.append(_leaf(tag, word))
        elif opening:
            nodes = []
            stack.append((label, nodes))
        elif closing:
            if len(stack) == 1:
                raise DataError("unbalanced tree: a closing bracket too many")
            closed, children = stack.pop()
            if not children:
                raise DataError(f"empty bracket '({closed})'")
            nodes = stack[-1][1]
            nodes.append(Tree(closed, tuple(children)))
        elif len(stack) == 1:
            raise DataError(f"text outside of brackets: '{stray}'")
        else:
            raise DataError(f"a bracket '({stack[-1][0]}' holds words beside others or beside brackets: '{stray}'")
    if len(stack) > 1:
        raise DataError(f"unbalanced tree: {len(stack) - 1} brackets are not closed")
    return stack[0][1]


@lru_cache(maxsize=1 << 16)
def _leaf(tag: str, word: str) -> Tree:
    """Words recur, and making a frozen node is what reading spends its time on."""
    return Tree(tag, (), word)


def read_tree(text: str) -> Tree:
    """The one tree in `text`. Raises DataError with a reason."""
    trees = read_trees(text)
    if len(trees) != 1:
        raise DataError(f"{len(trees)} trees where one is wanted")
    return trees[0]


def strip_root(tree: Tree) -> Tree:
    """`tree` without the treebank's outer brackets (``TOP``, ``ROOT`` or no label) that hold exactly one tree."""
    while tree.label in WRAPPERS and len(tree.children) == 1:
        tree = tree.children[0]
    return tree


def check_leaves(tree: Tree, tokens: Sequence[str]) -> None:
    """Raise DataError unless the tree's words are exactly `tokens` (escaped as `penn_word` says)."""
    words = [leaf.word for leaf in tree.leaves()]
    wanted = [penn_word(token) for token in tokens]
    if words != wanted:
        pairs = enumerate(zip(words, wanted, strict=False))
        at = next((i for i, (a, b) in pairs if a != b), min(len(words), len(wanted)))
        raise DataError(f"the leaves of the tree are not the tokens: they differ at token {at + 1}")


def check_labels(tree: Tree) -> None:
    """Raise DataError if a label is empty, or holds a space or `|` (which joins the labels of a chain in tags)."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if not node.label or "|" in node.label or node.label.split() != [node.label]:
            what = f"label '{node.label}'" if node.label else "an empty label"
            raise DataError(f"{what} in the tree: labels are not empty, and hold neither spaces nor '|'")
        stack.extend(node.children)


def constituents(tree: Tree) -> list[tuple[str, int, int]]:
    """`(label, start, end)` of each constituent (words themselves left out), children first; `end` is exclusive."""
    found: list[tuple[str, int, int]] = []
    position = 0
    stack: list[tuple[Tree, int]] = [(tree, -1)]
    while stack:
        node, start = stack.pop()
        if start >= 0:
            found.append((node.label, start, position))
        elif node.word is not None:
            position += 1
        else:
            stack.append((node, position))
            stack.extend((child, -1) for child in reversed(node.children))
    return found
