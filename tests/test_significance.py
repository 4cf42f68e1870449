"""Paired tests between two systems."""

from dataclasses import astuple
from itertools import product

import numpy as np
import pytest

from mckd_ray.errors import DataError
from mckd_ray.evaluation import PairedTest, paired_test
from mckd_ray.evaluation.significance import paired_test_over_seeds


def values(size: int, shift: float, seed: int = 0) -> tuple[list[float], list[float]]:
    generator = np.random.default_rng(seed)
    first = generator.uniform(0, 100, size)
    return first.tolist(), (first + generator.normal(shift, 20, size)).tolist()


def test_a_clear_difference_is_found_and_none_is_not() -> None:
    better = paired_test(*values(300, 5))
    assert better.low < better.difference < better.high
    assert better.low > 0
    assert better.p_value < 0.01
    same = paired_test(*values(300, 0))
    assert same.low < 0 < same.high
    assert same.p_value > 0.05


def test_the_difference_is_second_minus_first() -> None:
    assert paired_test([1.0, 2.0, 3.0], [3.0, 3.0, 3.0]).difference == 1
    first, second = values(50, 3)
    there, back = paired_test(first, second), paired_test(second, first)
    assert there.difference == -back.difference
    assert there.p_value == pytest.approx(back.p_value, abs=0.02)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_p_agrees_with_a_count_over_all_swaps(seed: int) -> None:
    first, second = values(10, 8, seed)
    differences = np.subtract(second, first)
    swaps = np.array(list(product([1, -1], repeat=10))) @ differences
    exact = float(np.mean(np.abs(swaps) >= abs(differences.sum()) - 1e-9))
    assert paired_test(first, second).p_value == pytest.approx(exact, abs=0.02)


def test_the_interval_agrees_with_the_normal_one_for_many_inputs() -> None:
    first, second = values(2000, 1)
    differences = np.subtract(second, first)
    margin = 1.96 * float(differences.std(ddof=1)) / 2000**0.5
    found = paired_test(first, second)
    assert found.low == pytest.approx(differences.mean() - margin, abs=0.1)
    assert found.high == pytest.approx(differences.mean() + margin, abs=0.1)


def test_the_same_seed_gives_the_same_answer() -> None:
    assert paired_test(*values(40, 2), seed=5) == paired_test(*values(40, 2), seed=5)
    assert paired_test(*values(40, 2), seed=5) != paired_test(*values(40, 2), seed=6)


def test_little_evidence_is_no_evidence() -> None:
    assert paired_test([4.0, 5.0, 6.0], [4.0, 5.0, 6.0]) == PairedTest(0, 0, 0, 1)
    assert paired_test([4.0], [9.0]) == PairedTest(5, 5, 5, 1)
    assert paired_test([4.0, 5.0], [9.0, 9.0]).p_value == pytest.approx(0.5, abs=0.05)


def test_values_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(DataError, match="2 values cannot be paired with 1"):
        paired_test([1.0, 2.0], [1.0])
    with pytest.raises(DataError, match="0 values"):
        paired_test([], [])


def test_an_input_counts_once_however_many_seeds_there_are() -> None:
    """Three equal seeds are no more evidence than one, and what differs between seeds alone is averaged away."""
    first, second = (dict(enumerate(some)) for some in values(40, 3))
    one, other = ([{str(key): value for key, value in some.items()}] for some in (first, second))
    alone = paired_test(list(first.values()), list(second.values()))
    assert astuple(paired_test_over_seeds(one * 3, other * 3)) == pytest.approx(astuple(alone))
    noisy = [{key: value + shift for key, value in other[0].items()} for shift in (-5, 5)]
    assert paired_test_over_seeds(other, noisy).difference == pytest.approx(0)
    assert paired_test_over_seeds(one, noisy).p_value == pytest.approx(paired_test_over_seeds(one, other).p_value)
