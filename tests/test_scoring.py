"""Corpus scores of label tables."""

import pytest

from mckd_ray.errors import DataError
from mckd_ray.evaluation import evaluate
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.tasks import TASKS

TASK = TASKS["semantic"]
EXAMPLES = [Example(name, ("a", "b")) for name in ("1", "2", "3", "4")]
GOLD = {"1": "go B-x O", "2": "go B-x O", "3": "go B-x O", "4": "go O O"}


def label(name: str, target: str, outcome: Outcome = Outcome.OK) -> Label:
    return Label(name, target if outcome.usable else "", target, outcome)


LABELS = [
    label("4", "go O O", Outcome.FAILED),
    label("3", "", Outcome.UNPARSABLE),
    label("2", "go O B-y", Outcome.REPAIRED),
    label("1", "go B-x O"),
]


def test_answers_are_scored_and_failures_count() -> None:
    evaluation = evaluate(TASK, EXAMPLES, GOLD, LABELS)
    assert set(evaluation.scores) == set(TASK.metrics)
    assert evaluation.scores["slot_precision"] == 50
    assert evaluation.scores["slot_recall"] == pytest.approx(100 / 3)
    assert evaluation.scores["intent_accuracy"] == 50
    assert evaluation.scores["exact_match"] == 25
    assert evaluation.count == 4
    assert evaluation.coverage == 0.5
    assert evaluation.outcomes == {"ok": 1, "repaired": 1, "unparsable": 1, "failed": 1}
    assert evaluation.values == {"1": 100, "2": 0, "3": 0, "4": 0}


def test_labels_of_other_inputs_are_left_aside() -> None:
    assert evaluate(TASK, EXAMPLES[:1], GOLD, LABELS) == evaluate(TASK, EXAMPLES[:1], {"1": GOLD["1"]}, LABELS[3:])


def test_what_cannot_be_scored_is_an_error() -> None:
    with pytest.raises(DataError, match="'3' has no label row"):
        evaluate(TASK, EXAMPLES, GOLD, [row for row in LABELS if row.id != "3"])
    with pytest.raises(DataError, match="'2' has no gold"):
        evaluate(TASK, EXAMPLES, {name: GOLD[name] for name in ("1", "3", "4")}, LABELS)
    with pytest.raises(DataError, match="'1' has more than one label row"):
        evaluate(TASK, EXAMPLES, GOLD, [*LABELS, label("1", "go O O")])
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(TASK, [], GOLD, LABELS)
