"""What flows between steps: examples, answers, labels, gold, each with one Arrow schema, kept in Parquet.

Gold has a table of its own, so that only a step that was given it can see it.
"""

import math
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from mckd_ray.errors import DataError

Row = TypeVar("Row")


class Outcome(StrEnum):
    """What became of an input that was labelled. Only `ok` and `repaired` rows may train a student."""

    OK = "ok"
    REPAIRED = "repaired"
    UNPARSABLE = "unparsable"
    FAILED = "failed"

    @property
    def usable(self) -> bool:
        """Whether the row has a target."""
        return self in (Outcome.OK, Outcome.REPAIRED)


@dataclass(frozen=True, slots=True)
class Example:
    """An input without its gold: `tokens` for the token tasks, `text` for text-to-text. The other one is empty."""

    id: str
    tokens: tuple[str, ...] = ()
    text: str = ""

    @property
    def source(self) -> str:
        """The input as one string."""
        return self.text or " ".join(self.tokens)


@dataclass(frozen=True, slots=True)
class Gold:
    """The gold annotation of the example `id`, in the task's canonical string."""

    id: str
    target: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a prompted model wrote: a text for each sample, each with its mean log-probability a piece (NaN: unknown).

    Or why it did not: then `texts` is empty and `failure` is a sentence. `again` says that another time it may.
    """

    key: str
    """The digest of all that determines the answer."""
    texts: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()
    shots: int = 0
    """How many labelled examples the prompt had room for."""
    tokens_in: int = 0
    tokens_out: int = 0
    """Over all samples."""
    tokens_cached: int = 0
    """Those of `tokens_in` that were not computed anew."""
    failure: str = ""
    again: bool = False

    @property
    def answered(self) -> bool:
        """Whether there is a text, even an empty one."""
        return bool(self.texts)


@dataclass(frozen=True, slots=True)
class Label:
    """A pseudolabel: `target` is canonical, or empty where the outcome is not usable; `reason` then says why.

    `raw` is what the model wrote; `confidence` the mean log-probability of its tokens (NaN where there is none), or,
    where several samples were asked for, the logarithm of the agreement with the others; `labeller` the step that wrote
    the row.
    """

    id: str
    target: str
    raw: str
    outcome: Outcome
    confidence: float = math.nan
    reason: str = ""
    labeller: str = ""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """What a student trains on: an input, its target and how many times it counts."""

    id: str
    tokens: tuple[str, ...]
    text: str
    target: str
    weight: float = 1.0

    @property
    def example(self) -> Example:
        """The input alone."""
        return Example(self.id, self.tokens, self.text)


_TOKENS = [("id", pa.string()), ("tokens", pa.list_(pa.string())), ("text", pa.string())]
SCHEMAS: dict[type, pa.Schema] = {
    Example: pa.schema(_TOKENS),
    Gold: pa.schema([("id", pa.string()), ("target", pa.string())]),
    Answer: pa.schema(
        [
            ("key", pa.string()),
            ("texts", pa.list_(pa.string())),
            ("logprobs", pa.list_(pa.float64())),
            ("shots", pa.int32()),
            ("tokens_in", pa.int32()),
            ("tokens_out", pa.int32()),
            ("tokens_cached", pa.int32()),
            ("failure", pa.string()),
            ("again", pa.bool_()),
        ]
    ),
    Label: pa.schema(
        [
            ("id", pa.string()),
            ("target", pa.string()),
            ("raw", pa.string()),
            ("outcome", pa.string()),
            ("confidence", pa.float64()),
            ("reason", pa.string()),
            ("labeller", pa.string()),
        ]
    ),
    TrainingRow: pa.schema([*_TOKENS, ("target", pa.string()), ("weight", pa.float64())]),
}


def write_rows(path: Path, row_type: type[Row], rows: Iterable[Row]) -> int:
    """Write `rows` (all of `row_type`) to the Parquet file `path`, all or nothing; returns their number."""
    schema, rows = SCHEMAS[row_type], list(rows)
    columns = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in schema]
    table = pa.Table.from_arrays(columns, schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    pq.write_table(table, temporary)
    temporary.replace(path)
    return int(table.num_rows)


def read_rows(path: Path, row_type: type[Row]) -> list[Row]:
    """The rows of the Parquet file `path`, in file order. Raises DataError if it does not hold such rows."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}).") from error
    expected = SCHEMAS[row_type]
    if not table.schema.equals(expected):
        raise DataError(
            f"{path}: holds columns {table.schema.names}, not those of {row_type.__name__} {expected.names}."
        )
    columns = [_values(table[field.name], field.name) for field in fields(row_type)]  # type: ignore[arg-type]
    return [row_type(*values) for values in zip(*columns, strict=True)]


def _values(column: pa.ChunkedArray, name: str) -> Sequence[Any]:
    values: list[Any] = column.to_pylist()
    if pa.types.is_list(column.type):
        return [tuple(items) for items in values]
    return [Outcome(value) for value in values] if name == "outcome" else values
