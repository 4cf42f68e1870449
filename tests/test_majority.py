"""One annotation from several, part by part, against a search through all that their parts can make."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mckd_ray.records import Example
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.bracket_scores import unlabelled_counts
from mckd_ray.tasks.majority import majority_annotation, majority_tree
from mckd_ray.tasks.slots import Annotation, Chunk, check_annotation, read_chunks, write_chunks
from mckd_ray.tasks.trees import Tree, check_leaves, constituents, read_tree

WORDS = ("a", "b", "c", "d", "e")


def tree(text: str) -> Tree:
    return read_tree(text)


def test_the_spans_of_most_trees_make_a_tree() -> None:
    """No candidate has both of the right spans; two of three have each."""
    trees = [
        tree("(S (NP (A a) (B b)) (C c) (VP (D d) (E e)))"),
        tree("(S (NP (A a) (B b)) (C c) (D d) (E e))"),
        tree("(S (A a) (B b) (C c) (VP (D d) (E e)))"),
    ]
    assert str(majority_tree(trees[::-1])) == str(trees[0])


def test_labels_chains_and_tags_are_voted_on() -> None:
    trees = [tree("(S (NP (X a)) (B b))"), tree("(S (VP (NP (A a))) (B b))"), tree("(T (VP (NP (A a))) (B b))")]
    assert str(majority_tree(trees)) == "(S (VP (NP (A a))) (B b))"


def test_of_two_trees_the_first_one_counts() -> None:
    first, second = tree("(S (A a) (X (B b) (C c)))"), tree("(S (Y (A a) (B b)) (C c))")
    assert str(majority_tree([first, second])) == str(first)
    assert str(majority_tree([second, first])) == str(second)


def test_one_word_may_stand_without_a_bracket() -> None:
    assert str(majority_tree([tree("(A a)"), tree("(A a)"), tree("(NP (A a))")])) == "(A a)"


def random_tree(words: tuple[str, ...]) -> st.SearchStrategy[Tree]:
    """Any tree over `words`, without unary chains."""
    if len(words) == 1:
        return st.just(Tree("T", (), words[0]))
    cuts = st.sets(st.integers(1, len(words) - 1), min_size=1).map(lambda some: [0, *sorted(some), len(words)])

    def of_cuts(found: list[int]) -> st.SearchStrategy[Tree]:
        parts = [random_tree(words[start:end]) for start, end in pairwise(found)]
        return st.builds(Tree, st.sampled_from(("S", "NP")), st.tuples(*parts))

    return cuts.flatmap(of_cuts)


def spans(some: Tree) -> set[tuple[int, int]]:
    return {(start, end) for _, start, end in constituents(some)}


@given(st.lists(random_tree(WORDS), min_size=1, max_size=5))
def test_no_tree_agrees_better_with_the_candidates(trees: list[Tree]) -> None:
    """Of all sets of spans that do not cross, none has fewer spans that only it or only a candidate has."""
    found = majority_tree(trees)
    check_leaves(found, WORDS)

    def disagreement(some: set[tuple[int, int]]) -> int:
        return sum(len(some ^ spans(other)) for other in trees)

    every = sorted({span for other in trees for span in spans(other)} - {(0, len(WORDS))})
    possible = (
        {(0, len(WORDS)), *some}
        for size in range(len(WORDS) - 1)
        for some in combinations(every, size)
        if not any(a < c < b < d or c < a < d < b for (a, b), (c, d) in combinations(some, 2))
    )
    assert disagreement(spans(found)) == min(map(disagreement, possible))


@given(st.lists(random_tree(WORDS), min_size=1, max_size=1))
def test_one_candidate_is_its_own_majority(trees: list[Tree]) -> None:
    assert majority_tree(trees) == trees[0]


def test_chunks_of_most_annotations() -> None:
    annotations = [
        Annotation("play", ("B-x", "I-x", "O", "B-y")),
        Annotation("stop", ("B-x", "I-x", "O", "O")),
        Annotation("play", ("B-z", "O", "O", "B-y")),
    ]
    assert str(majority_annotation(annotations)) == "play B-x I-x O B-y"


chunks = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.sampled_from("xy")), max_size=4)


def annotation(drawn: list[tuple[int, int, str]]) -> Annotation:
    """Those of the drawn chunks that fit beside the ones before them."""
    taken: list[Chunk] = []
    for start, size, slot in drawn:
        end = min(start + size, len(WORDS))
        if all(end <= other.start or start >= other.end for other in taken):
            taken.append(Chunk(start, end, slot))
    return Annotation("i", write_chunks(taken, len(WORDS)))


@given(st.lists(chunks.map(annotation), min_size=1, max_size=5))
def test_majority_chunks_are_legal_and_each_has_a_majority(annotations: list[Annotation]) -> None:
    found = majority_annotation(annotations)
    check_annotation(found, WORDS)
    every = {chunk for each in annotations for chunk in read_chunks(each.tags)}
    for chunk in every:
        votes = sum(chunk in read_chunks(each.tags) for each in annotations)
        tied = 2 * votes == len(annotations)
        wanted = chunk in read_chunks(annotations[0].tags) if tied else 2 * votes > len(annotations)
        assert (chunk in read_chunks(found.tags)) == wanted


@pytest.mark.parametrize("name", ["constituency", "semantic", "text"])
def test_every_task_combines_equal_candidates_to_themselves(name: str) -> None:
    target = {"constituency": "(S (A a) (B b))", "semantic": "i B-x O", "text": "b a"}[name]
    example = Example("1", text="a b") if name == "text" else Example("1", ("a", "b"))
    assert TASKS[name].combined([target] * 3, example) == target


def test_the_combined_tree_may_be_better_than_each_candidate() -> None:
    gold = tree("(S (NP (A a) (B b)) (C c) (VP (D d) (E e)))")
    candidates = [
        "(S (NP (A a) (B b)) (C c) (D d) (E e))",
        "(S (A a) (B b) (C c) (VP (D d) (E e)))",
        "(S (NP (A a) (B b)) (X (C c) (VP (D d) (E e))))",
    ]
    combined = TASKS["constituency"].combined(candidates, Example("1", WORDS))
    f1 = [unlabelled_counts(gold, tree(one))["unlabelled_f1"] for one in (combined, *candidates)]
    assert f1[0] == 1
    assert max(f1[1:]) < 1
