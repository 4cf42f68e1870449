"""The errors of a constituency tree by kind: label, attachment, span too long or short, missed, invented.

Each constituent of the answer is paired with at most one of gold, by the first rule that fits: same span and label;
same span; same label and one same boundary. What is left over was invented, or missed.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from mckd_ray.tasks.base import NOTHING, Errors
from mckd_ray.tasks.trees import UNLABELLED, Tree, constituents

KINDS = ("label", "attachment", "span too long", "span too short", "missed", "invented", "no answer")
"""attachment: span and label are right, but the smallest larger constituent around it is another span than in gold."""


@dataclass(frozen=True, slots=True)
class Node:
    """A constituent over the words `start` to `end` (exclusive), and the span of the next larger one around it."""

    label: str
    start: int
    end: int
    around: tuple[int, int] | None

    @property
    def length(self) -> int:
        """In words."""
        return self.end - self.start


def tree_errors(gold: Tree, predicted: Tree | None) -> Errors:
    """The errors of `predicted` (None: no answer), a tree over the same words. A label that is unknown is not wrong."""
    kinds = Counter(dict.fromkeys(KINDS, 0))
    labels: Counter[tuple[str, str]] = Counter()
    wanted, found = _nodes(gold), [] if predicted is None else _nodes(predicted)
    if predicted is None:
        kinds["no answer"] += 1
        return Errors(kinds, {"labels": labels})
    right = _pair(wanted, found, lambda ours, theirs: _same_span(ours, theirs) and _same_label(ours, theirs))
    relabelled = _pair(wanted, found, _same_span)
    moved = _pair(wanted, found, _one_boundary)
    kinds["attachment"] = sum(ours.around != theirs.around for ours, theirs in right)
    kinds["label"] = len(relabelled)
    kinds["span too long"] = sum(theirs.length > ours.length for ours, theirs in moved)
    kinds["span too short"] = sum(theirs.length < ours.length for ours, theirs in moved)
    kinds["missed"], kinds["invented"] = len(wanted), len(found)
    labels.update((ours.label, theirs.label) for ours, theirs in right + relabelled + moved)
    labels.update((ours.label, NOTHING) for ours in wanted)
    labels.update((NOTHING, theirs.label) for theirs in found)
    return Errors(kinds, {"labels": labels})


def wrong_constituents(tree: Tree, other: Tree) -> list[bool]:
    """For each of `constituents(tree)`: whether `other` has none left that matches its span and label.

    Where one of the trees is unlabelled, spans alone are compared.
    """
    ours, theirs = constituents(tree), constituents(other)
    unlabelled = UNLABELLED in {label for label, *_ in ours + theirs}
    left = Counter(("" if unlabelled else label, start, end) for label, start, end in theirs)
    wrong = []
    for label, start, end in ours:
        key = ("" if unlabelled else label, start, end)
        wrong.append(left[key] <= 0)
        left[key] -= 1
    return wrong


def _nodes(tree: Tree) -> list[Node]:
    found = constituents(tree)
    spans = sorted({(start, end) for _, start, end in found}, key=lambda span: span[1] - span[0])
    around = {
        inner: next((outer for outer in spans if outer != inner and _holds(outer, inner)), None) for inner in spans
    }
    return [Node(label, start, end, around[start, end]) for label, start, end in found]


def _holds(outer: tuple[int, int], inner: tuple[int, int]) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _pair(wanted: list[Node], found: list[Node], fit: Callable[[Node, Node], bool]) -> list[tuple[Node, Node]]:
    """Take fitting pairs out of both lists, each node of the answer with the gold node of the nearest length."""
    pairs = []
    for theirs in list(found):
        fitting = [ours for ours in wanted if fit(ours, theirs)]
        if fitting:
            nearest = min(fitting, key=lambda ours: abs(ours.length - theirs.length))
            wanted.remove(nearest)
            found.remove(theirs)
            pairs.append((nearest, theirs))
    return pairs


def _same_span(ours: Node, theirs: Node) -> bool:
    return (ours.start, ours.end) == (theirs.start, theirs.end)


def _same_label(ours: Node, theirs: Node) -> bool:
    return ours.label == theirs.label or UNLABELLED in (ours.label, theirs.label)


def _one_boundary(ours: Node, theirs: Node) -> bool:
    return _same_label(ours, theirs) and (ours.start == theirs.start or ours.end == theirs.end)
