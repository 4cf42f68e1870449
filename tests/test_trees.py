"""Reading, writing and checking Penn trees."""

import pytest
from hypothesis import given, settings

from mckd_ray.errors import DataError
from mckd_ray.tasks.trees import (
    Tree,
    check_labels,
    check_leaves,
    constituents,
    read_tree,
    read_trees,
    strip_root,
)
from tests.random_trees import example_of, trees

CAT = "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))"


def test_a_tree_is_read_and_written_on_one_line() -> None:
    tree = read_tree("( (S (NP (DT the) (NN cat))\n     (VP(VBZ sleeps)))\n)")
    assert tree.label == ""
    assert str(strip_root(tree)) == CAT
    assert [leaf.word for leaf in tree.leaves()] == ["the", "cat", "sleeps"]


def test_constituents_are_spans_of_words() -> None:
    assert constituents(read_tree(CAT)) == [("NP", 0, 2), ("VP", 2, 3), ("S", 0, 3)]
    assert constituents(read_tree("(NN cat)")) == []


@settings(deadline=None)
@given(trees())
def test_what_was_written_is_read_back(tree: Tree) -> None:
    text = str(tree)
    again = read_tree(text)
    assert str(again) == text
    check_leaves(again, example_of(tree).tokens)
    assert constituents(again) == constituents(tree)


def test_round_brackets_in_words_are_escaped() -> None:
    tree = Tree("NP", (Tree("-LRB-", (), "("), Tree("NN", (), "f(x)")))
    assert str(tree) == "(NP (-LRB- -LRB-) (NN f-LRB-x-RRB-))"
    check_leaves(read_tree(str(tree)), ["(", "f(x)"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(S (NP (DT the)", "unbalanced tree: 2 brackets are not closed"),
        ("(NP (DT the)))", "a closing bracket too many"),
        ("(NP (DT the) cat)", "words beside"),
        ("(NP the cat)", "words beside"),
        ("(NP (DT the) ( ))", "empty bracket"),
        ("(NP (DT ))", "empty bracket"),
        ("the (NN cat)", "outside of brackets: 'the'"),
        ("(NN a) (NN b)", "2 trees"),
        ("", "0 trees"),
    ],
)
def test_a_broken_tree_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(DataError) as error:
        read_tree(text)
    assert reason in str(error.value)


def test_a_file_may_hold_many_trees() -> None:
    assert [str(tree) for tree in read_trees(f"{CAT}\n\n(NN cat)\n")] == [CAT, "(NN cat)"]
    assert read_trees(" \n") == []


def test_only_wrappers_of_one_tree_are_stripped() -> None:
    assert str(strip_root(read_tree(f"(TOP (ROOT {CAT}))"))) == CAT
    assert strip_root(read_tree("(TOP (NN a) (NN b))")).label == "TOP"


def test_other_leaves_and_bad_labels_are_refused() -> None:
    with pytest.raises(DataError, match="differ at token 2"):
        check_leaves(read_tree(CAT), ["the", "dog", "sleeps"])
    with pytest.raises(DataError, match="differ at token 4"):
        check_leaves(read_tree(CAT), ["the", "cat", "sleeps", "."])
    for text in ("(ADVP|PRT (RB up))", "((NN a) (NN b))"):
        with pytest.raises(DataError, match="label"):
            check_labels(read_tree(text))


def test_a_very_deep_tree_needs_no_recursion() -> None:
    text = "(NP " * 20_000 + "(NN cat)" + ")" * 20_000
    tree = read_tree(text)
    assert str(tree) == text
    assert len(constituents(tree)) == 20_000
