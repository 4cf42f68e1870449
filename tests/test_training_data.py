"""What a student trains on: rows by recipe, and which labels are kept by confidence or agreement."""

import math
from pathlib import Path
from typing import Any

import pytest

from mckd_ray.corpora import partitioned
from mckd_ray.records import Example, Label, Outcome, TrainingRow, write_rows
from mckd_ray.runner.training_data import training_rows
from mckd_ray.storage import place_at
from mckd_ray.storage.root import Place
from mckd_ray.tasks import TASKS

POOL = [Example(str(number), ("a", "b", "c")) for number in range(10)]
RIGHT, HALF, WRONG = "i B-x B-y O", "i B-x O O", "i O O B-z"
TASK = TASKS["semantic"]


def table(folder: Path, targets: list[str], confidences: list[float] | None = None) -> Path:
    """A label table of the first examples; an empty target is a failed row."""
    confidences = confidences or [math.nan] * len(targets)
    labels = [
        Label(example.id, target, target, Outcome.OK if target else Outcome.FAILED, confidence)
        for example, target, confidence in zip(POOL, targets, confidences, strict=False)
    ]
    write_rows(folder / "labels.parquet", Label, labels)
    return folder


def inputs(tmp_path: Path, size: int, **tables: Path) -> dict[str, Place]:
    write_rows(tmp_path / "corpus" / "pool.parquet", Example, POOL[:size])
    write_rows(tmp_path / "corpus" / "labelled.parquet", TrainingRow, [TrainingRow("gold", ("a",), "", "i O")])
    folders = {"corpus": tmp_path / "corpus", **{role.replace("_", "-"): folder for role, folder in tables.items()}}
    return {role: place_at(folder) for role, folder in folders.items()}


def test_the_usable_labels_of_some_partitions_and_the_budget(tmp_path: Path) -> None:
    labels = table(tmp_path / "labels", ["", *[RIGHT] * 9])
    parts: list[dict[str, Any]] = [
        {"from": "labels", "partitions": [1], "of": 2},
        {"from": "labelled", "copies": 8},
    ]
    *rows, gold = training_rows(parts, inputs(tmp_path, 10, labels_0=labels), TASK)
    assert [row.id for row in rows] == [example.id for example in partitioned(POOL, 2)[1] if example.id != "0"]
    assert (gold.id, gold.weight) == ("gold", 8)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"keep": 0.5, "weigh": False}, {"1": 1.0, "3": 1.0}),
        ({"keep": 0.5, "weigh": True}, {"1": 0.75, "3": 1.0}),
        ({"keep": 1.0, "weigh": True}, {"0": 0.25, "1": 0.75, "2": 0.5, "3": 1.0}),
        ({"keep": 0.51, "weigh": True}, {"1": 0.75, "2": 0.5, "3": 1.0}),
    ],
)
def test_labels_are_kept_or_weighed_by_confidence(
    tmp_path: Path, settings: dict[str, Any], wanted: dict[str, float]
) -> None:
    """A label without a confidence counts as sure."""
    confidences = [math.log(0.25), math.log(0.75), math.log(0.5), math.nan]
    labels = table(tmp_path / "labels", [RIGHT] * 4, confidences)
    part = {"from": "labels", "by": "confidence", **settings}
    rows = training_rows([part], inputs(tmp_path, 4, labels_0=labels), TASK)
    assert {row.id: row.weight for row in rows} == pytest.approx(wanted)


def test_labels_are_weighed_by_their_agreement_with_others(tmp_path: Path) -> None:
    """The agreement is the task's score; what the other labeller failed on agrees with nothing."""
    latest = table(tmp_path / "latest", [RIGHT] * 4)
    teacher = table(tmp_path / "teacher", [RIGHT, HALF, WRONG, ""])
    part = {"from": "labels", "by": "agreement", "keep": 1.0, "weigh": True}
    rows = training_rows([part], inputs(tmp_path, 4, labels_0=latest, other_0=teacher), TASK)
    assert {row.id: row.weight for row in rows} == pytest.approx({"0": 1, "1": 2 / 3, "2": 0, "3": 0})
    assert {row.target for row in rows} == {RIGHT}


def test_those_that_agree_best_are_kept_in_the_pools_order(tmp_path: Path) -> None:
    latest = table(tmp_path / "latest", [RIGHT] * 5)
    teacher = table(tmp_path / "teacher", [WRONG, HALF, RIGHT, WRONG, RIGHT])
    part = {"from": "labels", "by": "agreement", "keep": 0.6, "weigh": False}
    rows = training_rows([part], inputs(tmp_path, 5, labels_0=latest, other_0=teacher), TASK)
    assert [(row.id, row.weight) for row in rows] == [("1", 1), ("2", 1), ("4", 1)]
