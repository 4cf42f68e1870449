"""The `replay` engine: pseudolabels that somebody already has, from a file of JSON lines or Parquet.

A row is found by its `id`, or by the text of its input where it has none, and says its annotation in one of three ways:
in the task's own row format; as a linearised string in `output`; or as the method's authors publish theirs,
`{"translation": {"unparsed": SENTENCE, "unlabeled" or "parsed": BRACKETS}}`, the `words` linearisation.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mckd_ray.errors import ConfigError, DataError, nearest
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.student.base import Labeller
from mckd_ray.tasks.answers import read_answer
from mckd_ray.tasks.base import Linearisation, Task
from mckd_ray.tasks.prompts import LINEARISATIONS
from mckd_ray.teacher import Commission


@dataclass(frozen=True)
class _Answer:
    """An annotation from the file: canonical, or as a string of `linearisation` where that is set."""

    text: str
    linearisation: Linearisation | None


class ReplayTeacher(Labeller):
    """Answers from a file."""

    def __init__(self, path: Path, task: Task, linearisation: str = "") -> None:
        """`linearisation`: that of `output` (default: the one of the task's prompts).

        Raises DataError, with file and line, for a row that can't be read or an id that comes twice; ConfigError for a
        linearisation that the task doesn't have.
        """
        self._path, self._task = path, task
        self._linearisation = _linearisation(task, linearisation or LINEARISATIONS.get(task.name, ""))
        self._by_id: dict[str, _Answer] = {}
        self._by_text: dict[str, _Answer] = {}
        for where, row in _rows(path):
            try:
                self._enter(row)
            except DataError as error:
                raise DataError(f"{where}: {error}") from error

    def label(self, examples: Sequence[Example]) -> list[Label]:
        """One label for each example; an input without a row is a failed row."""
        return [self._label(example) for example in examples]

    def _find(self, example: Example) -> _Answer | None:
        return self._by_id.get(example.id) or self._by_text.get(_key(example.source))

    def _label(self, example: Example) -> Label:
        answer = self._find(example)
        if answer is None:
            return Label(example.id, "", "", Outcome.FAILED, reason=f"{self._path} has no row for this input")
        if answer.linearisation is not None:
            target, outcome, reason = read_answer(answer.text, answer.linearisation, example)
            return Label(example.id, target, answer.text, outcome, reason=reason)
        try:
            return Label(example.id, self._task.check(answer.text, example), answer.text, Outcome.OK)
        except DataError as error:
            reason = f"the row in {self._path} does not annotate this input: {error}"
            return Label(example.id, "", answer.text, Outcome.FAILED, reason=reason)

    def _enter(self, row: Mapping[str, Any]) -> None:
        text, answer = self._published(row) if "translation" in row else self._own(row)
        if "id" not in row:
            if not text:
                raise DataError("the row has neither an 'id' nor its input's text")
            self._by_text.setdefault(_key(text), answer)
        elif not isinstance(row["id"], str):
            raise DataError(f"'id' is {row['id']!r}: a string is needed")
        elif row["id"] in self._by_id:
            raise DataError(f"the id '{row['id']}' comes twice")
        else:
            self._by_id[row["id"]] = answer

    def _own(self, row: Mapping[str, Any]) -> tuple[str, _Answer]:
        """The input's text, where the row has it, and its annotation."""
        if row.get("output") is not None:
            tokens = row.get("tokens") or ()
            return row.get("text") or " ".join(tokens), _Answer(_string(row, "output"), self._linearisation)
        example, target = self._task.read({"id": "no id", **row})
        if target is None:
            raise DataError(f"the row has no annotation: neither one of the task '{self._task.name}' nor 'output'")
        return example.source, _Answer(target, None)

    def _published(self, row: Mapping[str, Any]) -> tuple[str, _Answer]:
        pair = row["translation"]
        if not isinstance(pair, Mapping):
            raise DataError("'translation' is not an object")
        brackets = "unlabeled" if pair.get("unlabeled") is not None else "parsed"
        return _string(pair, "unparsed"), _Answer(_string(pair, brackets), _linearisation(self._task, "words"))


def _linearisation(task: Task, name: str) -> Linearisation:
    if name not in task.linearisations:
        raise ConfigError(f"the task '{task.name}' has no linearisation '{name}'.{nearest(name, task.linearisations)}")
    return task.linearisations[name]


def _string(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise DataError(f"'{name}' is {value!r}: a string is needed")
    return value


def _key(text: str) -> str:
    return " ".join(text.split())


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row stands (file:line), and the row. Raises DataError."""
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
        return
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{path}:{number}", _object(line, f"{path}:{number}")
    except OSError as error:
        raise DataError(f"{path}: the file of pseudolabels can't be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 ({error}).") from error


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: is not JSON ({error}).") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: is not a JSON object.")
    return row


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}).") from error
    for number, row in enumerate(rows, start=1):
        # A column that a row doesn't use is null in Parquet.
        yield f"{path}:{number}", {name: value for name, value in row.items() if value is not None}


def make(commission: Commission) -> Labeller:
    """The file of the commission's `teacher.model`. Raises DataError, ConfigError."""
    return ReplayTeacher(Path(commission.config.model), commission.task, commission.config.linearisation)
