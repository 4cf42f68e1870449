"""Draws and partitions: stable when a corpus grows, prefixes when a budget grows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mckd_ray.corpora.splits import draw, partition, partitioned, split_of_document
from mckd_ray.errors import DataError
from mckd_ray.records import Example

ids = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=60)


def test_a_pool_falls_into_balanced_disjoint_partitions() -> None:
    pool = [Example(f"craft-{number}", ("a",)) for number in range(2000)]
    parts = partitioned(pool, 2)
    assert sorted(example.id for part in parts for example in part) == sorted(example.id for example in pool)
    assert all(900 < len(part) < 1100 for part in parts)


@settings(max_examples=100)
@given(ids, ids, st.integers(2, 5))
def test_partitions_are_stable_when_the_pool_grows(before: list[str], more: list[str], partitions: int) -> None:
    grown = {name: partition(name, partitions) for name in dict.fromkeys(before + more)}
    assert all(grown[name] == partition(name, partitions) < partitions for name in before)


@settings(max_examples=100)
@given(ids, st.integers(0, 60), st.integers(0, 60), st.text(max_size=3))
def test_a_smaller_budget_is_a_prefix_of_a_larger_one(names: list[str], one: int, other: int, salt: str) -> None:
    small, large = sorted((one, other))
    assert draw(names, large, str, salt)[:small] == draw(names, small, str, salt)[: len(names)]
    assert draw(list(reversed(names)), large, str, salt) == draw(names, large, str, salt)


@settings(max_examples=100)
@given(ids, ids, st.integers(0, 60))
def test_what_was_drawn_before_keeps_its_order_when_the_corpus_grows(old: list[str], new: list[str], n: int) -> None:
    before, after = draw(old, n, str, "1"), draw(dict.fromkeys(old + new), n, str, "1")
    assert [name for name in after if name in old] == before[: len([name for name in after if name in old])]


def test_another_seed_draws_others() -> None:
    names = [str(number) for number in range(1000)]
    assert set(draw(names, 50, str, "1")) != set(draw(names, 50, str, "2"))


def test_documents_are_split_eight_to_one_to_one() -> None:
    splits = [split_of_document(f"doc{number}") for number in range(2000)]
    assert 1500 < splits.count("train") < 1700
    assert 150 < splits.count("dev") < 250


@pytest.mark.parametrize(("size", "partitions", "words"), [(1, 2, "fewer than plan.partitions: 2"), (3, 3, "none of")])
def test_a_pool_that_is_too_small_is_an_error(size: int, partitions: int, words: str) -> None:
    # The three ids of the second case fall to fewer than three partitions.
    pool = [Example(name) for name in ("a", "b", "c", "d", "e") if partition(name, partitions) != 1][:size]
    with pytest.raises(DataError, match=words):
        partitioned(pool, partitions)
