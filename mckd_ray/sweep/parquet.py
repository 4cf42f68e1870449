"""The table of a sweep as Parquet: a row a trial, whatever types its settings have."""

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def write_table(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write `rows` to `path`, all or nothing. A column whose values have no common type holds them as JSON."""
    columns = {name: _column([row[name] for row in rows]) for name in rows[0]} if rows else {}
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    pq.write_table(pa.table(columns), temporary)
    temporary.replace(path)


def _column(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([json.dumps(value) for value in values])
