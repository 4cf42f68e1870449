"""Errors of slots and intents by kind."""

from collections import Counter

import pytest

from mckd_ray.tasks.base import NOTHING
from mckd_ray.tasks.slot_errors import slot_errors
from mckd_ray.tasks.slots import read_annotation

GOLD = "book O B-from I-from O B-to O"


def kinds(predicted: str | None) -> dict[str, int]:
    errors = slot_errors(read_annotation(GOLD), None if predicted is None else read_annotation(predicted))
    return {kind: count for kind, count in errors.kinds.items() if count}


@pytest.mark.parametrize(
    ("predicted", "wanted"),
    [
        (GOLD, {}),
        ("book O B-from I-from O O O", {"missed": 1}),
        ("book O B-from I-from O B-to B-day", {"invented": 1}),
        ("book O B-to I-to O B-to O", {"wrong type": 1}),
        ("book O B-from O O B-to O", {"boundary": 1}),
        ("book O B-day O O B-to O", {"type and boundary": 1}),
        ("play O B-from I-from O B-to O", {"intent": 1}),
        (None, {"no answer": 1}),
    ],
)
def test_kinds_of_errors(predicted: str | None, wanted: dict[str, int]) -> None:
    assert kinds(predicted) == wanted


def test_pairs_of_slots_and_intents() -> None:
    found = slot_errors(read_annotation(GOLD), read_annotation("play O B-day I-day O O B-to")).confusion
    assert found["intents"] == {("book", "play"): 1}
    assert found["slots"] == Counter({("from", "day"): 1, ("to", NOTHING): 1, (NOTHING, "to"): 1})
