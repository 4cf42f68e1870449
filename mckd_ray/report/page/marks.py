"""An answer beside its gold, taken apart into pieces, of which the wrong ones are marked."""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mckd_ray.records import Example
from mckd_ray.tasks.slots import read_annotation, read_chunks
from mckd_ray.tasks.tree_errors import wrong_constituents
from mckd_ray.tasks.trees import Tree, read_tree


@dataclass(frozen=True)
class Piece:
    """A piece of text; `note` is what it is said to be, such as a slot. Marked where the other side differs."""

    text: str
    marked: bool = False
    note: str = ""


@dataclass(frozen=True)
class Marked:
    """An annotation as pieces, with spaces between them; for trees also the tree, and which constituents are marked."""

    pieces: tuple[Piece, ...]
    tree: Tree | None = None
    wrong: tuple[bool, ...] = ()


def marked(task: str, target: str, other: str | None, example: Example) -> Marked:
    """`target` (an answer, or gold) with what `other` (gold, or an answer; None: nothing) does not have marked."""
    return _MARKERS.get(task, _mark_text)(target, other, example)


def _mark_tree(target: str, other: str | None, example: Example) -> Marked:
    tree = read_tree(target)
    wrong = wrong_constituents(tree, tree if other is None else read_tree(other))
    return Marked(tuple(_tree_pieces(tree, iter(wrong))), tree, tuple(wrong))


def _tree_pieces(tree: Tree, marks: Iterator[bool]) -> list[Piece]:
    """The brackets from left to right. The marks come children first, so a node's own is drawn after theirs."""
    if tree.word is not None:
        return [Piece(f"({tree.label} {tree.word})")]
    inner = [piece for child in tree.children for piece in _tree_pieces(child, marks)]
    inner[-1] = Piece(f"{inner[-1].text})", inner[-1].marked)
    return [Piece(f"({tree.label}", next(marks)), *inner]


def _mark_slots(target: str, other: str | None, example: Example) -> Marked:
    ours = read_annotation(target)
    theirs = None if other is None else read_annotation(other)
    known = None if theirs is None else set(read_chunks(theirs.tags))
    pieces = [Piece("", theirs is not None and ours.intent != theirs.intent, ours.intent)]
    place = 0
    for chunk in read_chunks(ours.tags):
        pieces += [Piece(token) for token in example.tokens[place : chunk.start]]
        words = " ".join(example.tokens[chunk.start : chunk.end])
        pieces.append(Piece(words, known is not None and chunk not in known, chunk.slot))
        place = chunk.end
    return Marked((*pieces, *(Piece(token) for token in example.tokens[place:])))


def _mark_text(target: str, other: str | None, example: Example) -> Marked:
    words = target.split()
    if other is None:
        return Marked(tuple(Piece(word) for word in words))
    matcher = difflib.SequenceMatcher(None, words, other.split(), autojunk=False)
    same = {place for block in matcher.get_matching_blocks() for place in range(block.a, block.a + block.size)}
    return Marked(tuple(Piece(word, place not in same) for place, word in enumerate(words)))


_MARKERS: dict[str, Callable[[str, str | None, Example], Marked]] = {
    "constituency": _mark_tree,
    "semantic": _mark_slots,
}
