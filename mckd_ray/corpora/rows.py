"""A source's rows as they come: values under our own names, and where each stands."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mckd_ray.errors import DataError, nearest


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `where` is file:line; where it cannot even be read, `problem` says why and `values` is empty."""

    where: str
    values: Mapping[str, Any]
    problem: str = ""


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text, without its end, of each line. Raises DataError if `path` cannot be read as UTF-8."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield number, _decoded(path, number, line).rstrip("\r\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error


def renamed(values: Mapping[str, Any], fields: Mapping[str, str], split: str, number: int) -> dict[str, Any]:
    """`values` with our names (`fields`: ours to theirs); a row without an id gets one from its place."""
    row = dict(values)
    for ours, theirs in fields.items():
        row.pop(ours, None)
        if theirs in values:
            row[ours] = values[theirs]
    if row.get("id") is None:
        row["id"] = f"{split}-{number:05d}"
    row["id"] = str(row["id"])
    return row


def check_fields(fields: Mapping[str, str], columns: list[str], path: Path | str) -> None:
    """Raise DataError if a column that the config names is not among `columns`."""
    for ours, theirs in fields.items():
        if theirs not in columns:
            raise DataError(
                f"{path}: has no column '{theirs}', which corpus.fields.{ours} names.{nearest(theirs, columns)}"
            )


def _decoded(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}:{number}: is not UTF-8 (byte {error.start + 1} of the line); convert the file to UTF-8."
        ) from error
