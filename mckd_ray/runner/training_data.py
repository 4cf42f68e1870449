"""What a student trains on, put together from the parts that its step's settings list."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mckd_ray import corpora
from mckd_ray.records import Example, Label, TrainingRow, read_rows
from mckd_ray.storage.root import Place
from mckd_ray.tasks.base import Task
from mckd_ray.teacher.shots import draw_shots

Part = Mapping[str, Any]


def training_rows(parts: Sequence[Part], inputs: Mapping[str, Place], task: Task) -> list[TrainingRow]:
    """The rows of all `parts`, in order. A part says in `from` where its rows are from.

    `labels`: the usable labels of input `labels-<number of the part>`, of some `partitions` `of` P, or all; of them, if
    it says `by` what, the share `keep` of highest confidence, or agreement with the labels of input `other-<number>`,
    and if it says `weigh`, each counting by that;
    `labelled`: the labelled budget, or the `shots` drawn from it by `seed`, each counting `copies` times;
    `general`: gold of the general domain; `pool`: the pool without targets; `raw`: all raw text without targets.
    """
    rows: list[TrainingRow] = []
    for number, part in enumerate(parts):
        of_labels = part["from"] == "labels"
        rows += _labels(part, inputs, number, task) if of_labels else _READERS[part["from"]](part, inputs)
    return rows


def of_partitions(pool: Sequence[Example], part: Part) -> list[Example]:
    """The examples of the pool's `partitions` `of` P, or all. Raises DataError if one is empty."""
    if "partitions" not in part:
        return list(pool)
    parts = corpora.partitioned(pool, part["of"])
    return [example for number in part["partitions"] for example in parts[number]]


def _labels(part: Part, inputs: Mapping[str, Place], number: int, task: Task) -> list[TrainingRow]:
    labels = _table(inputs[f"labels-{number}"])
    examples = of_partitions(read_rows((inputs["corpus"] / "pool.parquet").here(), Example), part)
    weights = {example.id: 1.0 for example in examples if labels[example.id].outcome.usable}
    if "by" in part:
        others = _table(inputs[f"other-{number}"]) if part["by"] == "agreement" else {}
        by_id = {example.id: example for example in examples}
        quality = {key: _quality(labels[key], others.get(key), by_id[key], task) for key in weights}
        best = sorted(quality, key=lambda key: -quality[key])[: math.ceil(part["keep"] * len(quality))]
        weights = {key: quality[key] if part["weigh"] else 1.0 for key in best}
    return [
        TrainingRow(example.id, example.tokens, example.text, labels[example.id].target, weights[example.id])
        for example in examples
        if example.id in weights
    ]


def _table(place: Place) -> dict[str, Label]:
    return {label.id: label for label in read_rows((place / "labels.parquet").here(), Label)}


def _quality(label: Label, other: Label | None, example: Example, task: Task) -> float:
    """From 0 to 1: how well a label agrees with the other one, or without another, how sure its labeller was."""
    if other is None:
        return 1.0 if math.isnan(label.confidence) else math.exp(label.confidence)
    if not other.outcome.usable:
        return 0.0
    return task.example_value(task.counts(other.target, label.target, example)) / 100


def _labelled(part: Part, inputs: Mapping[str, Place]) -> list[TrainingRow]:
    rows = read_rows((inputs["corpus"] / "labelled.parquet").here(), TrainingRow)
    if "shots" in part:
        rows = draw_shots(rows, part["shots"], part["seed"])
    return [replace(row, weight=float(part["copies"])) for row in rows]


def _general(_: Part, inputs: Mapping[str, Place]) -> list[TrainingRow]:
    return read_rows((inputs["corpus"] / "general.parquet").here(), TrainingRow)


def _raw(part: Part, inputs: Mapping[str, Place]) -> list[TrainingRow]:
    examples = read_rows((inputs["corpus"] / f"{part['from']}.parquet").here(), Example)
    return [TrainingRow(example.id, example.tokens, example.text, "") for example in examples]


_READERS = {"labelled": _labelled, "general": _general, "pool": _raw, "raw": _raw}
