"""Trees as strings that repeat the words: the paper's unlabelled brackets, and labelled ones.

Strict parsing, repair (`bracket_repair.py`) and the legal next symbols (`bracket_legal.py`) of both. Words that hold
round brackets are written with `-LRB-` and `-RRB-`, and are told apart by position.
"""

from collections.abc import Iterable
from typing import ClassVar

from mckd_ray.errors import DataError, LinearisationError
from mckd_ray.records import Example
from mckd_ray.tasks.base import Inventory, Linearisation
from mckd_ray.tasks.bracket_legal import LegalBrackets, LegalLabelledBrackets
from mckd_ray.tasks.bracket_repair import repair_labelled, repair_words
from mckd_ray.tasks.trees import UNLABELLED, Tree, check_labels, check_leaves, penn_word, read_tree, strip_root


class WordsLinearisation(Linearisation):
    """The paper's: `( ( ( Jim ) ( Enzor ) ) ( ( of ) ( Atlanta ) ) )`, with single spaces and no labels.

    Each word stands in a bracket of its own, and so does each constituent of more than one word (chains of them are
    kept); constituents of one word are not written. Parsed trees have the label X everywhere.
    """

    name: ClassVar[str] = "words"

    def linearise(self, target: str, example: Example) -> str:
        """The brackets of the tree `target`."""
        pieces: list[str] = []
        stack: list[Tree | str] = [read_tree(target)]
        while stack:
            node = stack.pop()
            if isinstance(node, str):
                pieces.append(node)
            elif (word := _only_word(node)) is not None:
                pieces.append(f"( {penn_word(word)} )")
            else:
                pieces.append("(")
                stack.append(")")
                stack.extend(reversed(node.children))
        return " ".join(pieces)

    def parse(self, text: str, example: Example) -> str:
        """The unlabelled tree that `text` says, with any spacing. A bracket around one word's bracket is dropped."""
        tree = _read_words(text)
        _check(tree, example)
        return str(tree)

    def read(self, text: str, example: Example) -> str:
        """As `parse`, whatever the words of the tree."""
        return str(_read_words(text))

    def repair(self, text: str, example: Example) -> str:
        """An unlabelled tree over the tokens with the constituents of `text` that can be told from it."""
        return str(repair_words(text, example.tokens))

    def legal(self, example: Example, inventory: Inventory) -> LegalBrackets:
        """All strings that `linearise` writes for trees over the tokens, but for trees with very many unary chains."""
        return LegalBrackets(example.tokens)


class LabelledWordsLinearisation(Linearisation):
    """Penn trees with a space between all symbols: `(S (NP (DT the ) (NN cat ) ) (VP (VBZ sleeps ) ) )`."""

    name: ClassVar[str] = "labelled-words"

    def linearise(self, target: str, example: Example) -> str:
        """The tree `target` with a space before each closing bracket."""
        return str(read_tree(target)).replace(")", " )")

    def parse(self, text: str, example: Example) -> str:
        """The tree that `text` says, with any spacing and with or without an outer TOP or ROOT."""
        tree = _read_labelled(text)
        _check(tree, example)
        return str(tree)

    def read(self, text: str, example: Example) -> str:
        """As `parse`, whatever the words of the tree."""
        return str(_read_labelled(text))

    def repair(self, text: str, example: Example) -> str:
        """A tree over the tokens with the labelled constituents of `text` that can be told from it; else X."""
        return str(repair_labelled(text, example.tokens))

    def inventory(self, rows: Iterable[tuple[str, Example]]) -> Inventory:
        """The labels of constituents (`labels`) and of words (`tags`)."""
        labels: set[str] = set()
        tags: set[str] = set()
        for target, _ in rows:
            stack = [read_tree(target)]
            while stack:
                node = stack.pop()
                (labels if node.word is None else tags).add(node.label)
                stack.extend(node.children)
        return {"labels": tuple(sorted(labels)), "tags": tuple(sorted(tags))}

    def legal(self, example: Example, inventory: Inventory) -> LegalLabelledBrackets:
        """All strings that `linearise` writes for trees over the tokens with these names, but for very long chains."""
        return LegalLabelledBrackets(example.tokens, inventory.get("labels", ()), inventory.get("tags", ()))


def _only_word(node: Tree) -> str | None:
    """The word of a node that covers one word, else None."""
    while len(node.children) == 1:
        node = node.children[0]
    return node.word


def _check(tree: Tree, example: Example) -> None:
    try:
        check_leaves(tree, example.tokens)
    except DataError as error:
        raise LinearisationError(str(error)) from error


def _read_labelled(text: str) -> Tree:
    try:
        tree = strip_root(read_tree(text))
        check_labels(tree)
    except DataError as error:
        raise LinearisationError(str(error)) from error
    return tree


def _read_words(text: str) -> Tree:
    """The one tree of unlabelled brackets in `text`; raises LinearisationError."""
    stack: list[list[Tree | str]] = [[]]
    for piece in text.replace("(", " ( ").replace(")", " ) ").split():
        if piece == "(":
            stack.append([])
        elif piece != ")":
            stack[-1].append(piece)
        elif len(stack) == 1:
            raise LinearisationError("a closing bracket too many")
        else:
            node = _unlabelled_node(stack.pop())
            stack[-1].append(node)
    if len(stack) > 1:
        raise LinearisationError(f"{len(stack) - 1} brackets are not closed")
    if len(stack[0]) != 1 or not isinstance(stack[0][0], Tree):
        raise LinearisationError(f"{len(stack[0])} words or brackets at the top where one bracket is wanted")
    return stack[0][0]


def _unlabelled_node(items: list[Tree | str]) -> Tree:
    if not items:
        raise LinearisationError("an empty bracket")
    if len(items) == 1:
        only = items[0]
        if isinstance(only, str):
            return Tree(UNLABELLED, (), only)
        return only if only.word is not None else Tree(UNLABELLED, (only,))
    children = tuple(item for item in items if isinstance(item, Tree))
    if len(children) < len(items):
        bare = next(item for item in items if isinstance(item, str))
        raise LinearisationError(f"the word '{bare}' is not in a bracket of its own")
    return Tree(UNLABELLED, children)
