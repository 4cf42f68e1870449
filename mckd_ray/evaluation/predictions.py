"""One row of a prediction file: what it predicts, and whether that is an annotation of the gold's tokens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mckd_ray.errors import ConfigError, DataError, LinearisationError, nearest
from mckd_ray.records import Example, Outcome
from mckd_ray.tasks.base import Linearisation, Task
from mckd_ray.tasks.rows import read_text
from mckd_ray.tasks.slots import NO_INTENT, Annotation
from mckd_ray.tasks.trees import read_tree

ANNOTATION_FIELDS = {"constituency": "tree", "semantic": "tags", "text": "target"}
"""The field that holds the annotation in each task's own format."""


@dataclass(frozen=True)
class Prediction:
    """What is scored (None: nothing), its outcome, and the reason if that is not `ok`.

    An annotation that could not be a target is scored as it stands wherever the reference scorers score it: tags that
    are not legal BIO are `repaired`, as conlleval reads them as if they were; a tree over other words is `unparsable`.
    """

    predicted: str | None
    outcome: Outcome
    reason: str = ""


MISSING = Prediction(None, Outcome.FAILED, "there is no prediction")


def read_prediction(task: Task, example: Example, row: Mapping[str, Any], linearisation: str | None) -> Prediction:
    """The prediction in `row` for `example`: `output`, a linearised string, where there is one, else the annotation.

    `linearisation` holds where the row has no such field. Raises DataError for values of the wrong type, ConfigError if
    the linearisation is not one of the task's, or none is given and the task has several.
    """
    if "output" in row:
        if row["output"] is None:
            return MISSING
        name = row.get("linearisation") or linearisation
        return _read_output(task, example, read_text(row, "output"), name)
    if row.get(ANNOTATION_FIELDS[task.name]) is None:
        return MISSING
    return _READERS[task.name](task, example, row)


def _read_output(task: Task, example: Example, output: str, name: Any) -> Prediction:
    linearisation = _linearisation(task, name)
    try:
        return Prediction(linearisation.parse(output, example), Outcome.OK)
    except LinearisationError as error:
        reason = str(error)
    if not output.strip():
        return Prediction(None, Outcome.UNPARSABLE, "the output is empty")
    try:
        return Prediction(linearisation.read(output, example), Outcome.UNPARSABLE, reason)
    except LinearisationError:
        return Prediction(linearisation.repair(output, example), Outcome.REPAIRED, reason)


def _linearisation(task: Task, name: Any) -> Linearisation:
    if not name and len(task.linearisations) == 1:
        (name,) = task.linearisations
    if name not in tuple(task.linearisations):
        known = nearest(str(name or ""), task.linearisations)
        raise ConfigError(f"'output' needs to be read as a linearisation of task {task.name}, not as {name!r}.{known}")
    return task.linearisations[name]


def _read_tree(task: Task, example: Example, row: Mapping[str, Any]) -> Prediction:
    text = read_text(row, "tree")
    try:
        return Prediction(task.check(text, example), Outcome.OK)
    except DataError as error:
        return Prediction(text if _is_tree(text) else None, Outcome.UNPARSABLE, str(error))


def _is_tree(text: str) -> bool:
    try:
        read_tree(text)
    except DataError:
        return False
    return True


def _read_tags(task: Task, example: Example, row: Mapping[str, Any]) -> Prediction:
    tags, tokens = _strings(row, "tags"), row.get("tokens")
    if tokens is not None and _strings(row, "tokens") != example.tokens:
        return Prediction(None, Outcome.UNPARSABLE, "the tokens are not those of gold")
    intent = NO_INTENT if row.get("intent") is None else read_text(row, "intent")
    target = str(Annotation(intent, tags))
    try:
        return Prediction(task.check(target, example), Outcome.OK)
    except DataError as error:
        # Without as many pieces as tokens, no tag has a token that it could stand for.
        aligned = len(target.split(" ")) == len(example.tokens) + 1 and all(target.split(" "))
        return Prediction(target if aligned else None, Outcome.REPAIRED if aligned else Outcome.UNPARSABLE, str(error))


def _read_target(task: Task, example: Example, row: Mapping[str, Any]) -> Prediction:
    return Prediction(task.check(read_text(row, "target"), example), Outcome.OK)


def _strings(row: Mapping[str, Any], field: str) -> tuple[str, ...]:
    value = row[field]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise DataError(f"'{field}' is {value!r}: a list of strings is needed")
    return tuple(value)


_READERS: dict[str, Callable[[Task, Example, Mapping[str, Any]], Prediction]] = {
    "constituency": _read_tree,
    "semantic": _read_tags,
    "text": _read_target,
}
