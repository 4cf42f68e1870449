"""Errors of trees by kind, each shown on the smallest tree that has it."""

from collections import Counter

import pytest
from hypothesis import given

from mckd_ray.tasks.base import NOTHING
from mckd_ray.tasks.tree_errors import tree_errors, wrong_constituents
from mckd_ray.tasks.trees import Tree, constituents, read_tree
from tests.random_trees import trees

GOLD = "(S (NP (D the) (N cat)) (VP (V sees) (NP (D a) (N dog)) (PP (P in) (NP (N town)))))"


def kinds(gold: str, predicted: str | None) -> dict[str, int]:
    errors = tree_errors(read_tree(gold), None if predicted is None else read_tree(predicted))
    return {kind: count for kind, count in errors.kinds.items() if count}


def test_a_right_tree_has_no_errors() -> None:
    assert kinds(GOLD, GOLD) == {}


@pytest.mark.parametrize(
    ("predicted", "wanted"),
    [
        (GOLD.replace("(PP (P in)", "(ADVP (P in)"), {"label": 1}),
        (
            "(S (NP (D the) (N cat)) (VP (V sees) (NP (D a) (N dog) (PP (P in) (NP (N town))))))",
            {"span too long": 1, "attachment": 1},
        ),
        (GOLD.replace("(NP (D a) (N dog))", "(D a) (NP (N dog))"), {"span too short": 1}),
        (GOLD.replace("(NP (D the) (N cat))", "(D the) (N cat)"), {"missed": 1}),
        (GOLD.replace("(V sees)", "(X1 (V sees))"), {"invented": 1}),
        (None, {"no answer": 1}),
    ],
)
def test_kinds_of_errors(predicted: str | None, wanted: dict[str, int]) -> None:
    assert kinds(GOLD, predicted) == wanted


def test_labels_are_paired_with_what_stands_in_their_place() -> None:
    pairs = tree_errors(read_tree("(S (A (a a) (b b)) (c c))"), read_tree("(S (B (a a) (b b)) (C (c c)))")).confusion
    assert pairs == {"labels": Counter({("S", "S"): 1, ("A", "B"): 1, (NOTHING, "C"): 1})}


def test_unknown_labels_are_not_wrong() -> None:
    assert kinds("(S (A (a a) (b b)) (c c))", "(X (X (X a) (X b)) (X c))") == {}


@given(trees(), trees())
def test_every_constituent_is_counted_once(gold: Tree, guess: Tree) -> None:
    """What is right, wrong or missed adds up to gold, and what is right, wrong or invented to the answer."""
    pairs = tree_errors(gold, guess).confusion["labels"]
    assert sum(count for (ours, _), count in pairs.items() if ours != NOTHING) == len(constituents(gold))
    assert sum(count for (_, theirs), count in pairs.items() if theirs != NOTHING) == len(constituents(guess))


def test_wrong_constituents_are_those_that_the_other_tree_lacks() -> None:
    tree, other = read_tree("(S (A (a a) (b b)) (B (c c)))"), read_tree("(S (A (a a) (b b)) (c c))")
    assert constituents(tree) == [("A", 0, 2), ("B", 2, 3), ("S", 0, 3)]
    assert wrong_constituents(tree, other) == [False, True, False]
    assert wrong_constituents(read_tree("(A (A (A (a a))))"), read_tree("(A (A (a a)))")) == [False, False, True]
