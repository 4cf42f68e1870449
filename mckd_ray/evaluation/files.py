"""Scores of a file of predictions against a file of gold, without any run.

Both are JSON Lines with an `id` and the annotation in the task's own format (`tree`; `tokens`, `tags`, `intent`;
`text`, `target`). A prediction may instead be what a model wrote, a linearised string in `output`.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mckd_ray.corpora.rows import lines
from mckd_ray.errors import ConfigError, DataError
from mckd_ray.evaluation.predictions import ANNOTATION_FIELDS, MISSING, Prediction, read_prediction
from mckd_ray.evaluation.scoring import Answer, add_counts, count_answers, summarise
from mckd_ray.records import Example
from mckd_ray.tasks import task_named
from mckd_ray.tasks.base import Task
from mckd_ray.tasks.rows import read_id

_TWICE = "the id '{}' occurs twice: each row needs an id of its own"


def evaluate_files(
    task_name: str, gold_path: Path, predicted_path: Path, rows: bool, linearisation: str | None
) -> dict[str, Any]:
    """Score the predictions in one file on the gold in another; the result holds plain JSON values.

    Its keys: `task`, `primary`, `scores` (the task's metrics, in percent), `count`, `coverage` (0 to 1), `outcomes`,
    `counts` (the sums that the scores are computed from), `breakdown` (scores by slot, where the task has them), and
    with `rows` also `rows`: for each gold row its `id`, `outcome`, `reason` (empty if the outcome is ok), `value` (the
    task's per-example metric) and `counts`. A gold row without a prediction is `failed`.
    `linearisation` says how an `output` without a `linearisation` field is read. What can't be parsed is repaired, but
    a whole tree over other words is left as it is (see `predictions.py`).

    Raises DataError, with file and line, for a row that can't be read, an id that occurs twice, gold without an
    annotation and a prediction without gold; ConfigError for an unknown task or linearisation.
    """
    task = task_named(task_name)
    gold = _read_gold(task, gold_path)
    predictions = _read_predictions(task, gold, predicted_path, linearisation)
    chosen = [predictions.get(name, MISSING) for name in gold]
    answers = [
        Answer(example, target, prediction.predicted, prediction.outcome)
        for (example, target), prediction in zip(gold.values(), chosen, strict=True)
    ]
    return _result(task, answers, [prediction.reason for prediction in chosen], rows)


def _result(task: Task, answers: list[Answer], reasons: list[str], rows: bool) -> dict[str, Any]:
    counts = count_answers(task, answers)
    evaluation, total = summarise(task, answers, counts), add_counts(counts)
    result = {"task": task.name, "primary": task.primary, **asdict(evaluation)}
    values = result.pop("values")
    result |= {"counts": dict(total), "breakdown": task.breakdown(total)}
    if rows:
        result["rows"] = [
            {
                "id": answer.example.id,
                "outcome": answer.outcome.value,
                "reason": reason,
                "value": values[answer.example.id],
                "counts": dict(one),
            }
            for answer, reason, one in zip(answers, reasons, counts, strict=True)
        ]
    return result


def _read_gold(task: Task, path: Path) -> dict[str, tuple[Example, str]]:
    gold: dict[str, tuple[Example, str]] = {}
    for where, row in _read_rows(path):
        try:
            example, target = task.read(row)
            if target is None:
                raise DataError(f"gold needs '{ANNOTATION_FIELDS[task.name]}', which this row does not have")
            if example.id in gold:
                raise DataError(_TWICE.format(example.id))
        except DataError as error:
            raise DataError(f"{where}: {error}.") from error
        gold[example.id] = (example, target)
    if not gold:
        raise DataError(f"{path}: holds no rows, so there is nothing to score.")
    return gold


def _read_predictions(
    task: Task, gold: dict[str, tuple[Example, str]], path: Path, linearisation: str | None
) -> dict[str, Prediction]:
    predictions: dict[str, Prediction] = {}
    for where, row in _read_rows(path):
        try:
            name = read_id(row)
            if name not in gold:
                raise DataError(f"no gold row has the id '{name}': a prediction needs the id of its gold row")
            if name in predictions:
                raise DataError(_TWICE.format(name))
            predictions[name] = read_prediction(task, gold[name][0], row, linearisation)
        except DataError as error:
            raise DataError(f"{where}: {error}.") from error
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
    return predictions


def _read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """file:line and row of each line that is not blank. Raises DataError."""
    for number, line in lines(path):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: is not JSON ({error}).") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: holds {type(row).__name__}, where a JSON object with an 'id' is needed.")
        yield where, row
