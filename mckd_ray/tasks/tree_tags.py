"""Trees as one tag a token: tetra-tagging (Kitaev and Klein, ACL 2020, section 3).

A tree is binarised, to the right: that measured better than to the left. Each word is the left or the right child of
its parent; so is each inner node, and a binary tree over n words has n-1 of them, one for each gap between words: the
lowest common ancestor of the words beside it. `tetra.py` has the automaton that these sides must obey.
"""

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import ClassVar, cast

import numpy as np

from mckd_ray.errors import LinearisationError
from mckd_ray.records import Example
from mckd_ray.tasks import tetra
from mckd_ray.tasks.base import Factor, Inventory, LegalSymbols, Linearisation, Scores, TagScheme, TagSequence
from mckd_ray.tasks.trees import UNLABELLED, Tree, read_tree

LAST = "-"
"""The `node` value of the last token, which has no gap after it."""
_NAME = r"[^\s()|+]+"
_CHAIN = rf"(?:/{_NAME}(?:\+{_NAME})*)?"
_SYMBOL = re.compile(rf"(?:([lr]{_CHAIN})\|([LR]{_CHAIN}|{LAST})\|({_NAME}))")

Forest = list[Tree]
Symbols = tuple[str, ...]


class TreeTags(TagScheme):
    """The factors of a token's tag; labels of unary chains are joined with `+`, outermost first.

    `leaf`: `l` or `r`, the side of its parent that the word hangs on, and after `/` the unary chain above the word.
    `node`: `L` or `R`, the side of its parent that the node of the gap after the word hangs on (`L` for the root), and
    after `/` its label; without one it only binarises a node of more than two children. `pos`: the part of speech.
    """

    factors: ClassVar[tuple[Factor, ...]] = (Factor("leaf", "token"), Factor("node", "token"), Factor("pos", "token"))

    def split(self, target: str, example: Example) -> dict[str, tuple[str, ...]]:
        """The values of each factor, in token order, that stand for the tree `target`."""
        leaves: list[str] = []
        nodes: list[str] = []
        parts: list[str] = []
        for item in _in_order(read_tree(target)):
            if item.word is None:
                nodes.append(item.side.upper() + item.chain)
            else:
                leaves.append(item.side + item.chain)
                parts.append(_escape(item.label))
        return {"leaf": tuple(leaves), "node": (*nodes, LAST), "pos": tuple(parts)}

    def join(self, values: Mapping[str, Sequence[str]], example: Example) -> str:
        """The tree that `values` stand for. Where they make no tree, sides are changed and missing labels are `X`."""
        wanted = [_move(*row) for row in zip(values["leaf"], values["node"], values["pos"], strict=True)]
        moves = list(tetra.nearest_legal(wanted))
        return str(_build(moves, values, example.tokens))

    def best(
        self, scores: Mapping[str, Scores], vocabularies: Mapping[str, Sequence[str]], lengths: Sequence[int]
    ) -> list[TagSequence]:
        """The sequences of highest total score that make one tree; see `TagScheme.best` for shapes.

        Vocabularies in which every tree lacks something give sequences that `join` has to mend.
        """
        sides = {name: [value[0] for value in vocabularies[name]] for name in ("leaf", "node")}
        leaf, node = tetra.best_sequences(scores["leaf"], scores["node"], sides["leaf"], sides["node"], lengths)
        chosen = {"leaf": leaf, "node": node, "pos": scores["pos"].argmax(axis=2)}
        picked = [np.take_along_axis(scores[name], chosen[name][:, :, None], axis=2)[:, :, 0] for name in chosen]
        each = np.mean(picked, axis=0)
        return [
            TagSequence(
                {name: tuple(int(value) for value in chosen[name][row, :length]) for name in chosen},
                float(each[row, :length].mean()),
            )
            for row, length in enumerate(lengths)
        ]


class TagsLinearisation(Linearisation):
    """One symbol a token: the values of `TreeTags` for it, joined with `|`."""

    name: ClassVar[str] = "tags"
    scheme = TreeTags()

    def linearise(self, target: str, example: Example) -> str:
        """The tags of the tree `target`, with single spaces between."""
        return " ".join("|".join(row) for row in zip(*self.scheme.split(target, example).values(), strict=True))

    def parse(self, text: str, example: Example) -> str:
        """The tree that the tags in `text` make. Raises LinearisationError where they make none."""
        symbols = text.split(" ")
        if len(symbols) != len(example.tokens):
            raise LinearisationError(f"{len(symbols)} tags for {len(example.tokens)} tokens")
        values = []
        depth = 0
        for index, symbol in enumerate(symbols):
            match = _SYMBOL.fullmatch(symbol)
            move = _move(*match.groups()) if match else ""
            if match is None or move not in tetra.legal_moves(depth, len(symbols) - index):
                reason = "is malformed" if match is None else "makes no tree after those before it"
                raise LinearisationError(f"tag {index + 1}, '{symbol}', {reason}")
            depth += tetra.CHANGE[move]
            values.append(match.groups())
        return self._join(values, example)

    def repair(self, text: str, example: Example) -> str:
        """The tree of the tags in `text`: cut or filled up to the tokens, with the nearest sides that make one tree."""
        symbols = [*text.split(), *[""] * len(example.tokens)][: len(example.tokens)]
        return self._join([_salvage(symbol) for symbol in symbols], example)

    def inventory(self, rows: Iterable[tuple[str, Example]]) -> Inventory:
        """The tags that are used, sorted, under `tag`."""
        seen = {symbol for target, example in rows for symbol in self.linearise(target, example).split(" ")}
        return {"tag": tuple(sorted(seen))}

    def legal(self, example: Example, inventory: Inventory) -> LegalSymbols:
        """The tags of the inventory that can still become one tree; `X` where the inventory lacks a side."""
        return LegalTags(len(example.tokens), _by_move(inventory["tag"]))

    def _join(self, rows: Sequence[Sequence[str]], example: Example) -> str:
        names = (factor.name for factor in self.scheme.factors)
        return self.scheme.join(dict(zip(names, zip(*rows, strict=True), strict=True)), example)


@dataclass(frozen=True)
class LegalTags(LegalSymbols):
    """The tag sequences of one tree over `length` tokens. A state is how many tags stand, and the stack's depth."""

    length: int
    by_move: Mapping[str, Symbols]
    start: tuple[int, int] = (0, 0)

    @property
    def language(self) -> Hashable:
        """That of all inputs of this length."""
        return self.length

    def allowed(self, state: Hashable) -> Symbols:
        """All tags whose sides are legal now."""
        index, depth = cast("tuple[int, int]", state)
        if index == self.length:
            return ()
        moves = tetra.legal_moves(depth, self.length - index)
        return self.by_move[" ".join(moves)]

    def complete(self, state: Hashable) -> bool:
        """Whether each token has its tag."""
        return cast("tuple[int, int]", state)[0] == self.length

    def advance(self, state: Hashable, symbol: str) -> Hashable:
        """The state after the tag `symbol`."""
        index, depth = cast("tuple[int, int]", state)
        return index + 1, depth + tetra.CHANGE[_move(*symbol.split("|"))]


@lru_cache(maxsize=8)
def _by_move(symbols: Symbols) -> Mapping[str, Symbols]:
    """The symbols that a set of legal moves (joined with spaces) leaves, for each such set."""
    groups: dict[str, Symbols] = {}
    for move in (*tetra.MOVES, "l", "r"):
        found = tuple(symbol for symbol in symbols if _move(*symbol.split("|")) == move)
        node = move[1:] or LAST
        groups[move] = found or (f"{move[0]}|{node}|{UNLABELLED}",)
    sets = [("l",), ("r",), *(chosen for size in range(1, 5) for chosen in combinations(tetra.MOVES, size))]
    return {" ".join(moves): tuple(symbol for move in moves for symbol in groups[move]) for moves in sets}


def _move(leaf: str, node: str, pos: str) -> str:
    return leaf[0] + (node[0] if node != LAST else "")


def _salvage(symbol: str) -> tuple[str, str, str]:
    """The values in what should be a tag; for what can't be read, a flat tree under `X`."""
    match = _SYMBOL.fullmatch(symbol)
    return (match[1], match[2], match[3]) if match else ("l", "R", UNLABELLED)


@dataclass(frozen=True, slots=True)
class _Item:
    """A word or a node of the binarised tree, with its side, and the chain of labels as it stands in a value."""

    side: str
    chain: str
    label: str = ""
    word: str | None = None


def _in_order(root: Tree) -> Iterator[_Item]:
    """The words and nodes of the binarised `root` from left to right."""
    stack: list[tuple[Tree, str] | _Item] = [(root, "l")]
    while stack:
        top = stack.pop()
        if isinstance(top, _Item):
            yield top
            continue
        tree, side = top
        labels: list[str] = []
        while len(tree.children) == 1:
            labels.append(tree.label)
            tree = tree.children[0]
        if tree.word is not None:
            yield _Item(side, _chain(labels), tree.label, tree.word)
            continue
        stack.extend(reversed(_binarised(tree.children, _Item(side, _chain([*labels, tree.label])))))


def _binarised(children: Sequence[Tree], node: _Item) -> list[tuple[Tree, str] | _Item]:
    """`children`, and the node in each gap between them: the first is theirs, the others are right children."""
    items: list[tuple[Tree, str] | _Item] = [(children[0], "l"), node]
    for child in children[1:-1]:
        items += [(child, "l"), _Item("r", "")]
    return [*items, (children[-1], "r")]


def _build(moves: Sequence[str], values: Mapping[str, Sequence[str]], tokens: Sequence[str]) -> Tree:
    """The tree of legal `moves`. An unfinished subtree: its nodes down to the gap, each with its left part."""
    unfinished: list[list[tuple[str, Forest]]] = []
    forest: Forest = []
    for move, leaf, node, pos, token in zip(moves, values["leaf"], values["node"], values["pos"], tokens, strict=True):
        forest = _above(_labels(leaf), [Tree(_unescape(pos), word=token)])
        if move[0] == "r":
            for value, children in reversed(unfinished.pop()):
                forest = _above(_labels(value), children + forest)
        if move[1:] == "L":
            unfinished.append([(node, forest)])
        elif move[1:] == "R":
            unfinished[-1].append((node, forest))
    return forest[0] if len(forest) == 1 else Tree(UNLABELLED, tuple(forest))


def _above(labels: Sequence[str], forest: Forest) -> Forest:
    """`forest` under a unary chain of `labels`; as it is where there are none."""
    for label in reversed(labels):
        forest = [Tree(label, tuple(forest))]
    return forest


def _chain(labels: Sequence[str]) -> str:
    return "/" + "+".join(_escape(label) for label in labels) if labels else ""


@lru_cache(maxsize=4096)
def _labels(value: str) -> Symbols:
    return tuple(_unescape(label) for label in value[2:].split("+")) if len(value) > 2 else ()


def _escape(label: str) -> str:
    return label.replace("%", "%25").replace("|", "%7C").replace("+", "%2B")


def _unescape(name: str) -> str:
    return name.replace("%2B", "+").replace("%7C", "|").replace("%25", "%")
