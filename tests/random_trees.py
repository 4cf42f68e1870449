"""Hypothesis strategies for constituency trees, with unary chains, equal labels in a chain and any part of speech."""

from hypothesis import strategies as st

from mckd_ray.records import Example
from mckd_ray.tasks.trees import Tree

LABELS = ("S", "NP", "VP", "SBAR", "PRT", "ADVP", "X", "NP-SBJ", "-NONE-")
TAGS = ("NN", "VBZ", ",", ".", ":", "``", "''", "-LRB-", "-RRB-", "HYPH", "$", "#", "X", "NP")

words = st.one_of(
    st.sampled_from(["the", "the", "cat", "(", ")", "-LRB-", "-RRB-", "f(x)", ",", ".", "``", "|", "NP", "```", "×"]),
    st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=5),
)


def leaf(word: str, tag: str) -> Tree:
    """One word under its tag."""
    return Tree(tag, (), word)


def trees(max_leaves: int = 12) -> st.SearchStrategy[Tree]:
    """Trees of any shape over at most so many words; the words may hold round brackets."""
    leaves = st.builds(leaf, words, st.sampled_from(TAGS))
    return st.recursive(
        leaves,
        lambda nodes: st.builds(Tree, st.sampled_from(LABELS), st.lists(nodes, min_size=1, max_size=4).map(tuple)),
        max_leaves=max_leaves,
    )


def example_of(tree: Tree) -> Example:
    """The input that `tree` annotates."""
    return Example("random", tuple(node.word or "" for node in tree.leaves()))
