"""Constituency trees as SVG: words in a row at the bottom, wrong constituents in red."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from mckd_ray.tasks.trees import UNLABELLED, Tree

MOST_WORDS = 60
"""Longer sentences are not drawn."""
_LEVEL, _LETTER, _GAP = 30, 7.2, 16


@dataclass
class _Placed:
    """A node of the drawing; `height` is its distance from the words, in levels."""

    label: str
    x: float
    height: int
    wrong: bool
    word: str | None
    children: Sequence["_Placed"] = ()

    def nodes(self) -> Iterator["_Placed"]:
        """This node, and all below it."""
        yield self
        for child in self.children:
            yield from child.nodes()


def tree_svg(tree: Tree, wrong: Sequence[bool]) -> Markup:
    """`tree` drawn; `wrong` says of each of its constituents, children first, whether it is marked."""
    marks, cursor = iter(wrong), [0.0]
    root = _place(tree, marks, cursor)
    width, height = cursor[0] + 4, (root.height + 1) * _LEVEL + 12
    parts = [
        Markup('<svg class="tree" role="img" viewBox="0 0 {:.0f} {:.0f}" style="width:{:.0f}px">').format(
            width, height, width
        )
    ]
    parts.append(Markup("<title>{}</title>").format(str(tree)))
    for node in root.nodes():
        parts += _lines(node, height)
    for node in root.nodes():
        parts += _texts(node, height)
    return Markup("").join([*parts, Markup("</svg>")])


def _place(tree: Tree, marks: Iterator[bool], cursor: list[float]) -> _Placed:
    if tree.word is not None:
        tag = "" if tree.label == UNLABELLED else tree.label
        width = max(len(tree.word), len(tag)) * _LETTER + _GAP
        x, cursor[0] = cursor[0] + width / 2, cursor[0] + width
        return _Placed(tag, x, 0, False, tree.word)
    children = [_place(child, marks, cursor) for child in tree.children]
    height = 1 + max(child.height for child in children)
    return _Placed(tree.label, (children[0].x + children[-1].x) / 2, height, next(marks), None, children)


def _top(node: _Placed, height: float) -> float:
    """The y of a node's label."""
    return height - 22 - node.height * _LEVEL if node.word is None else height - 24


def _lines(node: _Placed, height: float) -> list[Markup]:
    # Down, across, down: branches of a projective tree never cross then, however long they are.
    line = Markup('<path class="{}" d="M{:.1f} {:.1f}v5H{:.1f}V{:.1f}"/>')
    y = _top(node, height) + 4
    return [
        line.format("branch wrong" if child.wrong else "branch", node.x, y, child.x, _top(child, height) - 11)
        for child in node.children
    ]


def _texts(node: _Placed, height: float) -> list[Markup]:
    text = Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>')
    y = _top(node, height)
    if node.word is None:
        return [text.format("node wrong" if node.wrong else "node", node.x, y, node.label)]
    return [text.format("tag", node.x, y, node.label), text.format("word", node.x, y + 16, escape(node.word))]
