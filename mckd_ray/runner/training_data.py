"""What a student trains on, put together from the parts that its step's settings list."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mckd_ray import corpora
from mckd_ray.records import Example, Label, TrainingRow, read_rows
from mckd_ray.teacher.shots import draw_shots

Part = Mapping[str, Any]


def training_rows(parts: Sequence[Part], inputs: Mapping[str, Path]) -> list[TrainingRow]:
    """The rows of all `parts`, in order. A part says in `from` where its rows are from.

    `labels`: the usable labels of input `labels-<number of the part>`, of some `partitions` `of` P, or all;
    `labelled`: the labelled budget, or the `shots` drawn from it by `seed`, each counting `copies` times;
    `general`: gold of the general domain; `pool`: the pool without targets; `raw`: all raw text without targets.
    """
    rows: list[TrainingRow] = []
    for number, part in enumerate(parts):
        rows += _READERS[part["from"]](part, inputs, number)
    return rows


def of_partitions(pool: Sequence[Example], part: Part) -> list[Example]:
    """The examples of the pool's `partitions` `of` P, or all. Raises DataError if one is empty."""
    if "partitions" not in part:
        return list(pool)
    parts = corpora.partitioned(pool, part["of"])
    return [example for number in part["partitions"] for example in parts[number]]


def _labels(part: Part, inputs: Mapping[str, Path], number: int) -> list[TrainingRow]:
    labels = {label.id: label for label in read_rows(inputs[f"labels-{number}"] / "labels.parquet", Label)}
    examples = read_rows(inputs["corpus"] / "pool.parquet", Example)
    examples = of_partitions(examples, part)
    return [
        TrainingRow(example.id, example.tokens, example.text, labels[example.id].target)
        for example in examples
        if labels[example.id].outcome.usable
    ]


def _labelled(part: Part, inputs: Mapping[str, Path], _: int) -> list[TrainingRow]:
    rows = read_rows(inputs["corpus"] / "labelled.parquet", TrainingRow)
    if "shots" in part:
        rows = draw_shots(rows, part["shots"], part["seed"])
    return [replace(row, weight=float(part["copies"])) for row in rows]


def _general(_: Part, inputs: Mapping[str, Path], __: int) -> list[TrainingRow]:
    return read_rows(inputs["corpus"] / "general.parquet", TrainingRow)


def _raw(part: Part, inputs: Mapping[str, Path], _: int) -> list[TrainingRow]:
    examples = read_rows(inputs["corpus"] / f"{part['from']}.parquet", Example)
    return [TrainingRow(example.id, example.tokens, example.text, "") for example in examples]


_READERS = {"labels": _labels, "labelled": _labelled, "general": _general, "pool": _raw, "raw": _raw}
