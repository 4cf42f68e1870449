"""Shots: drawn, nearest to the input, or diverse; always from the labelled budget, in whatever order it comes."""

import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mckd_ray import corpora
from mckd_ray.config import CorpusConfig
from mckd_ray.errors import ConfigError
from mckd_ray.records import Example, TrainingRow
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.prompts import LINEARISATIONS
from mckd_ray.teacher.shots import BLOCK, Selection, choose_shots, draw_shots

TEXT = TASKS["text"]
SELECTIONS = pytest.mark.parametrize("selection", ["random", "similar", "diverse"])
SENTENCES = st.lists(st.sampled_from(["a", "b", "c", "d", "The", "the", "."]), min_size=1, max_size=6).map(" ".join)


def budget(*texts: str) -> list[TrainingRow]:
    return [TrainingRow(f"r{index:03d}", (), text, "out") for index, text in enumerate(texts)]


def asked(*texts: str) -> list[Example]:
    return [Example(f"q{index}", text=text) for index, text in enumerate(texts)]


def builtin(task: str, labelled: int = 60) -> corpora.Corpus:
    config = CorpusConfig(format="builtin", labelled=labelled, pool=40, dev=0, test=1)
    return corpora.load(config, TASKS[task])


def ids(labelled: Sequence[TrainingRow], chosen: Sequence[tuple[int, ...]]) -> list[list[str]]:
    return [[labelled[place].id for place in shots] for shots in chosen]


def test_similar_shows_the_nearest_first() -> None:
    labelled = budget("play some jazz", "what is the weather in Rome", "book a table in Rome")
    inputs = asked("The weather in Paris ?", "PLAY some blues")
    assert choose_shots("similar", labelled, 2, 1, inputs, TEXT) == [(1, 2), (0, 1)]


def test_random_shows_every_input_the_same_draw() -> None:
    labelled = budget(*"abcdefgh")
    chosen = choose_shots("random", labelled, 3, 1, asked("x", "y"), TEXT)
    assert [[labelled[place] for place in shots] for shots in chosen] == [draw_shots(labelled, 3, 1)] * 2
    assert choose_shots("random", labelled, 3, 2, asked("x", "y"), TEXT) != chosen


def test_diverse_shows_what_is_not_there_yet() -> None:
    """First the row with most names, then the one with another; then, as all names are there, another length."""
    targets = ["go O O", "stop O O O", "go B-to B-by O O", "go O O O O O O O O O"]
    labelled = [TrainingRow(f"r{at}", ("w",) * target.count(" "), "", target) for at, target in enumerate(targets)]
    for seed in range(9):
        assert choose_shots("diverse", labelled, 3, seed, asked("x"), TASKS["semantic"]) == [(2, 1, 3)]


def test_the_seed_of_diverse_decides_among_equals() -> None:
    assert len({choose_shots("diverse", budget(*"abcd"), 2, seed, asked("x"), TEXT)[0] for seed in range(9)}) > 1


@pytest.mark.parametrize(("task", "count"), [("constituency", 8), ("semantic", 12)])
def test_diverse_covers_all_names_of_the_builtin_corpus(task: str, count: int) -> None:
    corpus = builtin(task)
    linearisation = TASKS[task].linearisations[LINEARISATIONS[task]]

    def names(selection: Selection, seed: int) -> int:
        (places,) = choose_shots(selection, corpus.labelled, count, seed, corpus.pool[:1], TASKS[task])
        rows = [corpus.labelled[place] for place in places]
        return sum(map(len, linearisation.inventory((row.target, row.example) for row in rows).values()))

    everything = linearisation.inventory((row.target, row.example) for row in corpus.labelled)
    assert {names("diverse", seed) for seed in range(3)} == {sum(map(len, everything.values()))}
    assert all(names("random", seed) < names("diverse", seed) for seed in range(3))


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=40), count=st.integers(1, 10), seed=st.integers(0, 9))
def test_diverse_spreads_over_the_lengths_where_there_are_no_names(lengths: list[int], count: int, seed: int) -> None:
    count = min(count, len(lengths))
    labelled = budget(*("w " * length for length in lengths))
    (shots,) = choose_shots("diverse", labelled, count, seed, asked("x"), TEXT)
    found = sorted(lengths[place] for place in shots)
    ordered = sorted(lengths)
    for part, length in enumerate(found):
        start, end = -(-part * len(lengths) // count), -(-(part + 1) * len(lengths) // count)
        assert ordered[start] <= length <= ordered[end - 1]


@SELECTIONS
@pytest.mark.parametrize("task", ["constituency", "semantic", "text"])
def test_shots_hang_on_no_order_and_on_no_other_input(selection: Selection, task: str) -> None:
    corpus = builtin(task)
    chosen = choose_shots(selection, corpus.labelled, 10, 1, corpus.pool, TASKS[task])
    expected = ids(corpus.labelled, chosen)
    assert all(len(set(shots)) == 10 for shots in expected)
    shuffled = random.Random(1).sample(corpus.labelled, len(corpus.labelled))
    again = choose_shots(selection, shuffled, 10, 1, corpus.pool[::-1], TASKS[task])
    assert ids(shuffled, again)[::-1] == expected
    assert [choose_shots(selection, corpus.labelled, 10, 1, [one], TASKS[task])[0] for one in corpus.pool] == chosen


@SELECTIONS
@settings(deadline=None)
@given(texts=st.lists(SENTENCES, min_size=1, max_size=8), queries=st.lists(SENTENCES, max_size=3), data=st.data())
def test_any_budget_in_another_order_gives_the_same_rows(
    selection: Selection, texts: list[str], queries: list[str], data: st.DataObject
) -> None:
    labelled = budget(*texts)
    count = data.draw(st.integers(0, len(labelled)))
    shuffled = data.draw(st.permutations(labelled))
    expected = ids(labelled, choose_shots(selection, labelled, count, 1, asked(*queries), TEXT))
    assert ids(shuffled, choose_shots(selection, shuffled, count, 1, asked(*queries), TEXT)) == expected
    assert all(len(set(shots)) == count for shots in expected)


def naive_similarity(text: str, other: str, texts: Sequence[str]) -> float:
    """The cosine of TF-IDF, word by word."""

    def weights(of: str) -> dict[str, float]:
        counts = Counter(of.lower().split())
        having = {word: sum(word in one.lower().split() for one in texts) for word in counts}
        return {
            word: count * (1 + math.log((1 + len(texts)) / (1 + having[word])))
            for word, count in counts.items()
            if having[word]
        }

    one, two = weights(text), weights(other)
    length = math.sqrt(sum(value**2 for value in one.values()) * sum(value**2 for value in two.values()))
    return sum(value * two.get(word, 0) for word, value in one.items()) / length if length else 0


@settings(deadline=None)
@given(texts=st.lists(SENTENCES, min_size=1, max_size=8), query=SENTENCES)
def test_similar_is_the_order_of_a_naive_similarity_and_then_of_ids(texts: list[str], query: str) -> None:
    (shots,) = choose_shots("similar", budget(*texts), len(texts), 1, asked(query), TEXT)
    naive = [round(naive_similarity(query, text, texts), 9) for text in texts]
    assert list(shots) == sorted(range(len(texts)), key=lambda place: (-naive[place], place))


def test_more_inputs_than_are_compared_at_once() -> None:
    labelled = budget("one", "two", "three")
    chosen = choose_shots("similar", labelled, 1, 1, asked(*["three", "one", "two"] * BLOCK), TEXT)
    assert chosen == [(2,), (0,), (1,)] * BLOCK


@SELECTIONS
def test_a_labelled_input_never_sees_its_own_gold(selection: Selection) -> None:
    labelled = budget("a b", "a c", "a b", "d")
    inputs = [row.example for row in labelled]
    chosen = choose_shots(selection, labelled, 4, 1, inputs, TEXT)
    assert [set(shots) for shots in chosen] == [{1, 3}, {0, 2, 3}, {1, 3}, {0, 1, 2}]
    few = choose_shots(selection, labelled, 1, 1, inputs, TEXT)
    assert all(labelled[place].text != one.text for one, shots in zip(inputs, few, strict=True) for place in shots)


def test_another_input_may_see_a_labelled_row_of_its_own_text() -> None:
    assert choose_shots("similar", budget("x", "a b"), 1, 1, asked("a b"), TEXT) == [(1,)]


@SELECTIONS
def test_a_budget_smaller_than_the_shots_is_an_error(selection: Selection) -> None:
    with pytest.raises(ConfigError, match=r"3 shots are more than the labelled budget of 2 rows; lower teacher\.shots"):
        choose_shots(selection, budget("a", "b"), 3, 1, asked("x"), TEXT)
    assert choose_shots(selection, [], 0, 1, asked("x", "y"), TEXT) == [(), ()]
