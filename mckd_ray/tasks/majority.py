"""One annotation from several of the same input, part by part: what more than half of them have.

Two spans that each stand in more than half of the trees stand together in one of them, so they never cross: the spans
of the majority make a tree, and it is the tree that agrees with all of them best, counted in spans (the majority-rule
consensus tree; Margush and McMorris 1981). The same holds for chunks. Where votes are equal, the first one's count.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from mckd_ray.tasks.slots import Annotation, read_chunks, write_chunks
from mckd_ray.tasks.trees import Tree, constituents

Part = TypeVar("Part", bound=Hashable)
Span = tuple[int, int]
_FIRST = 1.5
"""The first one's votes, the others having 1 each: enough to break a tie, too few to overrule one more."""


def majority_tree(trees: Sequence[Tree]) -> Tree:
    """The tree of the spans that more than half of `trees` have; labels and parts of speech by most votes.

    All trees stand over the same words. The labels of a unary chain are voted on as one.
    """
    chains = [_chains(tree) for tree in trees]
    spans = majority([each.keys() for each in chains])
    labels = {span: most_votes([each.get(span) for each in chains]) for span in spans}
    words = zip(*(tree.leaves() for tree in trees), strict=True)
    return _build(labels, [Tree(most_votes([leaf.label for leaf in same]), (), same[0].word) for same in words])


def majority_annotation(annotations: Sequence[Annotation]) -> Annotation:
    """The chunks that more than half of `annotations` have, and the intent of most; all are of the same tokens."""
    chunks = majority([read_chunks(each.tags) for each in annotations])
    intent = most_votes([each.intent for each in annotations])
    return Annotation(intent, write_chunks(chunks, len(annotations[0].tags)))


def majority(voters: Sequence[Iterable[Part]]) -> set[Part]:
    """The parts that more than half of the `voters` hold; the first breaks a tie."""
    votes = _votes([set(parts) for parts in voters])
    return {part for part, count in votes.items() if 2 * count > len(voters) - 1 + _FIRST}


def most_votes(choices: Sequence[Part | None]) -> Part:
    """What most choose, of those who choose at all (not None); the first breaks a tie. One at least must choose."""
    votes = _votes([() if choice is None else (choice,) for choice in choices])
    return max(votes, key=lambda choice: votes[choice])


def _votes(voters: Sequence[Iterable[Part]]) -> Mapping[Part, float]:
    votes: defaultdict[Part, float] = defaultdict(float)
    for number, parts in enumerate(voters):
        for part in parts:
            votes[part] += 1.0 if number else _FIRST
    return votes


def _chains(tree: Tree) -> dict[Span, tuple[str, ...]]:
    """The labels over each span that has any, outermost first."""
    chains: defaultdict[Span, tuple[str, ...]] = defaultdict(tuple)
    for label, start, end in constituents(tree):
        chains[start, end] = (label, *chains[start, end])
    return chains


def _build(labels: Mapping[Span, tuple[str, ...]], words: Sequence[Tree]) -> Tree:
    """The tree with these labels over these spans, of which no two cross; the widest is the whole sentence."""
    stack: list[tuple[Span, list[Tree]]] = []
    done: list[Tree] = []

    def close() -> None:
        span, children = stack.pop()
        nodes = tuple(children)
        for label in reversed(labels[span]):
            nodes = (Tree(label, nodes),)
        (stack[-1][1] if stack else done).extend(nodes)

    starting: defaultdict[int, list[Span]] = defaultdict(list)
    for span in sorted(labels, key=lambda span: (span[0], -span[1])):
        starting[span[0]].append(span)
    for at, word in enumerate(words):
        stack += [(span, []) for span in starting[at]]
        (stack[-1][1] if stack else done).append(word)
        while stack and stack[-1][0][1] == at + 1:
            close()
    return done[0]
