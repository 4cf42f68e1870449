"""How the simulated teacher errs: each task's annotation taken apart, and some of its parts corrupted.

A part errs systematically (the same kind of part always, in the same way) or at random (for this input alone).
All draws hang on the seed, the part and the input's id: neither on order nor on batch. The parts that err at a lower
rate err at a higher rate too.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mckd_ray.records import Example
from mckd_ray.tasks.trees import UNLABELLED, Tree, read_tree

Names = Mapping[str, tuple[str, ...]]
"""Kind of name to the sorted names that the gold uses: what a part may be confused with."""


@dataclass(frozen=True)
class Noise:
    """At which rate parts err: `rate` of all parts, `systematic` of those in the same way each time."""

    rate: float
    systematic: float
    seed: int

    def strike(self, part: str, example_id: str, index: int) -> random.Random | None:
        """None if part number `index` of an example stays as it is; else the source of the choices that spoil it.

        `part` says what kind of part it is: the same part in another input errs alike if it errs systematically.
        """
        always = self.rate * self.systematic
        kind = random.Random(_digest(self.seed, "kind", part))
        if kind.random() < always:
            return kind
        here = random.Random(_digest(self.seed, "here", example_id, index))
        # The rest of the rate, over the parts that do not err systematically, so that both add up to `rate`.
        return here if here.random() * (1 - always) < self.rate - always else None


@dataclass(frozen=True)
class Corruption:
    """One task's way to err: the names that its gold uses, and the corruption of one target."""

    names: Callable[[Iterable[str]], Names]
    corrupt: Callable[[str, Example, Noise, Names], str]


def _digest(*parts: object) -> int:
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _other(name: str, names: Sequence[str], dice: random.Random) -> str:
    others = [other for other in names if other != name]
    return dice.choice(others) if others else name


@dataclass(eq=False)
class _Node:
    """A tree's node that can be changed in place; `word` is set for a leaf."""

    label: str
    word: str | None
    parent: "_Node | None" = None
    children: list["_Node"] = field(default_factory=list)

    def first_word(self) -> str:
        """The leftmost word below the node."""
        node = self
        while node.word is None:
            node = node.children[0]
        return node.word

    def put(self, at: int, replaced: int, nodes: Sequence["_Node"]) -> None:
        """Set `nodes` in the place of `replaced` children from `at`."""
        self.children[at : at + replaced] = nodes
        for node in nodes:
            node.parent = self


def _open(tree: Tree) -> list[_Node]:
    """The tree's nodes, each before its children."""
    nodes: list[_Node] = []
    stack: list[tuple[Tree, _Node | None]] = [(tree, None)]
    while stack:
        old, parent = stack.pop()
        node = _Node(old.label, old.word, parent)
        nodes.append(node)
        if parent is not None:
            parent.children.append(node)
        stack.extend((child, node) for child in reversed(old.children))
    return nodes


def _close(nodes: Sequence[_Node]) -> Tree:
    """The tree of which `nodes` are the nodes, the first its root."""
    order: list[_Node] = []
    stack = [nodes[0]]
    while stack:
        order.append(stack.pop())
        stack.extend(order[-1].children)
    built: dict[_Node, Tree] = {}
    for node in reversed(order):
        built[node] = Tree(node.label, tuple(built[child] for child in node.children), node.word)
    return built[nodes[0]]


def _corrupt_tree(target: str, example: Example, noise: Noise, names: Names) -> str:
    """Constituents are removed, or their right edge moves by one child and half of them change their label."""
    nodes = _open(read_tree(target))
    constituents = [node for node in nodes if node.word is None]
    parts = [f"{node.label} {node.parent.label if node.parent else None} {node.first_word()}" for node in constituents]
    for index, (node, part) in enumerate(zip(constituents, parts, strict=True)):
        dice = noise.strike(part, example.id, index)
        if dice is not None:
            _spoil_node(node, names["label"], dice)
    return str(_close(nodes))


def _spoil_node(node: _Node, labels: Sequence[str], dice: random.Random) -> None:
    remove, relabel = dice.random() < 0.5, dice.random() < 0.5
    parent = node.parent
    if parent is None or relabel:
        node.label = _other(node.label, labels, dice)
    if parent is None:
        return
    at = parent.children.index(node)
    if not remove and at + 1 < len(parent.children):
        follower = parent.children.pop(at + 1)
        node.put(len(node.children), 0, [follower])
    elif not remove and len(node.children) > 1:
        parent.put(at + 1, 0, [node.children.pop()])
    else:
        parent.put(at, 1, node.children)


def _tree_names(targets: Iterable[str]) -> Names:
    labels = {node.label for target in targets for node in _open(read_tree(target)) if node.word is None}
    return {"label": tuple(sorted(labels | {UNLABELLED}))}


def _chunks(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(slot, start, end) of each chunk of BIO tags."""
    chunks: list[tuple[str, int, int]] = []
    for index, tag in enumerate(tags):
        if tag.startswith("B-"):
            chunks.append((tag[2:], index, index + 1))
        elif tag.startswith("I-"):
            chunks[-1] = (*chunks[-1][:2], index + 1)
    return chunks


def _corrupt_frame(target: str, example: Example, noise: Noise, names: Names) -> str:
    """Slots are confused or dropped, their right edge moves by one word, the intent is confused."""
    intent, *tags = target.split(" ")
    dice = noise.strike(f"intent {intent} {example.tokens[0]}", example.id, -1)
    if dice is not None:
        intent = _other(intent, names["intent"], dice)
    spoiled = ["O"] * len(tags)
    for index, (slot, start, end) in enumerate(_chunks(tags)):
        dice = noise.strike(f"{slot} {' '.join(example.tokens[start:end])}", example.id, index)
        if dice is not None:
            slot, end = _spoil_chunk(slot, start, end, tags, names["slot"], dice)
        spoiled[start:end] = [f"B-{slot}", *[f"I-{slot}"] * (end - start - 1)][: end - start]
    return " ".join((intent, *spoiled))


def _spoil_chunk(
    slot: str, start: int, end: int, tags: Sequence[str], slots: Sequence[str], dice: random.Random
) -> tuple[str, int]:
    """The slot and end of a spoiled chunk; an end at `start` drops it."""
    how = dice.choice(("confuse", "drop", "move"))
    if how == "drop":
        return slot, start
    if how == "move" and end < len(tags) and tags[end] == "O":
        return slot, end + 1
    if how == "move" and end - start > 1:
        return slot, end - 1
    return _other(slot, slots, dice), end


def _frame_names(targets: Iterable[str]) -> Names:
    split = [target.split(" ") for target in targets]
    slots = {tag[2:] for _, *tags in split for tag in tags if tag != "O"}
    return {"intent": tuple(sorted({intent for intent, *_ in split})), "slot": tuple(sorted(slots))}


def _corrupt_text(target: str, example: Example, noise: Noise, names: Names) -> str:
    """Words are dropped or change places with the next one; one word is always left."""
    words = target.split(" ")
    spoiled: list[str] = []
    for index, word in enumerate(words):
        dice = noise.strike(word, example.id, index)
        if dice is None:
            spoiled.append(word)
        elif dice.random() < 0.5 and spoiled:
            spoiled.insert(len(spoiled) - 1, word)
        elif index == len(words) - 1 and not spoiled:
            spoiled.append(word)
    return " ".join(spoiled)


def _no_names(targets: Iterable[str]) -> Names:
    return {}


CORRUPTIONS: dict[str, Corruption] = {
    "constituency": Corruption(_tree_names, _corrupt_tree),
    "semantic": Corruption(_frame_names, _corrupt_frame),
    "text": Corruption(_no_names, _corrupt_text),
}
