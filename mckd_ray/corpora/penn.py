"""Trees as the Penn Treebank and CRAFT publish them: read, and freed of what is not a bracket over words."""

import re
from collections.abc import Iterator
from pathlib import Path

from mckd_ray.corpora.rows import Row, lines
from mckd_ray.errors import DataError
from mckd_ray.tasks.trees import Tree, read_trees

SECTIONS = ("TITLE", "HEADING", "CAPTION")
"""CRAFT's nodes for parts of a document; any other tree is `body`."""

_EMPTY = "-NONE-"
_UNICODE_SPACE = re.compile(r"[^\S \t\r\n\f\v]")
_FUNCTION = re.compile(r"(?<=.)[-=|].*")


def rows(path: Path, prefix: str = "") -> Iterator[Row]:
    """The trees of one file as rows of id, doc, tokens, tree and section.

    The id is `prefix`, the file's stem and the tree's place in it, from 1.
    """
    position = 0
    for number, text in _chunks(path):
        where = f"{path}:{number}"
        try:
            trees = read_trees(_UNICODE_SPACE.sub("", text))
        except DataError as error:
            position += 1
            yield Row(where, {}, str(error))
            continue
        for tree in trees:
            position += 1
            yield _row(tree, where, path.stem, f"{prefix}{path.stem}-{position:04d}")


def normalise(tree: Tree) -> tuple[Tree, str]:
    """The tree without root wrapper, traces, function tags and document-part nodes, and its section in lower case.

    Raises DataError if nothing but traces is in it.
    """
    inner = _cleaned(tree)
    if not inner:
        raise DataError("no word but traces in the tree")
    section = next((label for label in SECTIONS if _wraps(tree, label)), "body")
    if len(inner) > 1:
        return Tree("FRAG", tuple(inner)), section.lower()
    only = inner[0]
    # A heading that is a bare tag is a noun phrase of one word.
    if section != "body" and only.word is not None:
        only = Tree("NP", (only,))
    return only, section.lower()


def _row(tree: Tree, where: str, document: str, identifier: str) -> Row:
    try:
        normal, section = normalise(tree)
    except DataError as error:
        return Row(where, {}, str(error))
    tokens = [leaf.word for leaf in normal.leaves()]
    return Row(where, {"id": identifier, "doc": document, "tokens": tokens, "tree": str(normal), "section": section})


def _chunks(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of each tree, which begins where a line does with a bracket: a bad tree harms no other."""
    start, kept = 0, list[str]()
    for number, line in lines(path):
        if line.startswith("(") and kept:
            yield start, "\n".join(kept)
            kept = []
        if line.strip():
            start = start if kept else number
            kept.append(line)
    if kept:
        yield start, "\n".join(kept)


def _wraps(tree: Tree, label: str) -> bool:
    """Whether the root, below its unlabelled bracket, is a node `label`."""
    while not tree.label and len(tree.children) == 1:
        tree = tree.children[0]
    return tree.label == label


def _cleaned(tree: Tree) -> list[Tree]:
    """What is left of `tree`: nothing of a trace, the children of a wrapper or document part, or the one clean node."""
    if tree.word is not None:
        return [] if tree.label == _EMPTY else [tree]
    children = [clean for child in tree.children for clean in _cleaned(child)]
    if not children or not tree.label or tree.label in SECTIONS:
        return children
    # Labels such as -LRB- begin with a dash of their own.
    return [Tree(_FUNCTION.sub("", tree.label), tuple(children))]
