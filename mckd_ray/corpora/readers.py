"""One reader for each format: from a source's split to rows under our names."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mckd_ray.config import SourceConfig
from mckd_ray.corpora import locate, penn
from mckd_ray.corpora.rows import Row, check_fields, lines, renamed
from mckd_ray.errors import DataError

READERS_VERSION = 1
"""Part of every corpus's fingerprint: raise it when a reader makes other rows of the same files."""


def read(config: SourceConfig, split: str) -> Iterator[Row]:
    """The rows of `split` (train, dev or test) of a source, as they come. Raises DataError if it cannot be read."""
    if locate.hub_name(config):
        return _hub_rows(config, split)
    reader = _READERS[config.format]
    return reader(config, split, locate.files_of(config, split))


def _jsonl(config: SourceConfig, split: str, files: list[Path]) -> Iterator[Row]:
    path = files[0]
    columns: set[str] = set()
    for number, line in lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            values = json.loads(line)
        except ValueError as error:
            yield Row(where, {}, f"not JSON ({error})")
            continue
        if not isinstance(values, dict):
            yield Row(where, {}, f"not a JSON object but {type(values).__name__}")
            continue
        columns |= values.keys()
        yield Row(where, renamed(values, config.fields, split, number))
    if columns:
        check_fields(config.fields, sorted(columns), path)


def _csv(config: SourceConfig, split: str, files: list[Path]) -> Iterator[Row]:
    path = files[0]
    table = csv.DictReader((f"{line}\n" for _, line in lines(path)), strict=True)
    try:
        columns = list(table.fieldnames or ())
        if not columns:
            raise DataError(f"{path}: is empty; its first line must name the columns.")
        check_fields(config.fields, columns, path)
        for number, cells in enumerate(table, 1):
            where = f"{path}:{table.line_num}"
            if None in cells or None in cells.values():
                yield Row(where, {}, f"has not the {len(columns)} cells of the first line")
            else:
                filled = {name: cell for name, cell in cells.items() if cell}
                yield Row(where, _words(renamed(filled, config.fields, split, number)))
    except csv.Error as error:
        raise DataError(f"{path}:{table.line_num}: is not CSV ({error}).") from error


def _words(row: dict[str, Any]) -> dict[str, Any]:
    """A cell of CSV holds tokens and tags as words with spaces between."""
    return row | {name: row[name].split() for name in ("tokens", "tags") if name in row}


def _parquet(config: SourceConfig, split: str, files: list[Path]) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = files[0]
    try:
        file = pq.ParquetFile(path)
        check_fields(config.fields, file.schema_arrow.names, path)
        number = 0
        for batch in file.iter_batches():
            for values in batch.to_pylist():
                number += 1
                yield Row(f"{path}:{number}", renamed(values, config.fields, split, number))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}).") from error


def _penn(config: SourceConfig, split: str, files: list[Path]) -> Iterator[Row]:
    for path in files:
        yield from penn.rows(path)


def _slu(config: SourceConfig, split: str, files: list[Path]) -> Iterator[Row]:
    yield from slu_rows(files, split)


def slu_rows(files: list[Path], prefix: str) -> Iterator[Row]:
    """The rows of seq.in, seq.out and label (`files`, in this order); ids are `prefix` and the line's number.

    Raises DataError if the three differ in their number of lines.
    """
    columns = [[line for _, line in lines(path)] for path in files]
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(f"{path.name} {len(column)}" for path, column in zip(files, columns, strict=True))
        raise DataError(f"{files[0].parent}: its files differ in their number of lines ({counts}).")
    for number, (words, tags, intent) in enumerate(zip(*columns, strict=True), 1):
        values = {
            "id": f"{prefix}-{number:05d}",
            "tokens": words.split(),
            "tags": tags.split(),
            "intent": intent.strip(),
        }
        yield Row(f"{files[0]}:{number}", values)


def _huggingface(config: SourceConfig, split: str, files: list[Path]) -> Iterator[Row]:
    import datasets

    folder = files[0].parent
    try:
        table = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: is not a dataset that `save_to_disk` wrote ({error}).") from error
    return _dataset_rows(config, split, table, str(folder))


def _hub_rows(config: SourceConfig, split: str) -> Iterator[Row]:
    import datasets

    name, revision = locate.hub_name(config) or ("", "")
    theirs = config.files.get(split, {"dev": "validation"}.get(split, split))
    try:
        table = datasets.load_dataset(name, revision=revision, split=theirs)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{config.path}: split '{theirs}' cannot be loaded from the Hugging Face hub ({error}); "
            "corpus.files says how a split is named there."
        ) from error
    return _dataset_rows(config, split, table, config.path)


def _dataset_rows(config: SourceConfig, split: str, table: Any, where: str) -> Iterator[Row]:
    """Rows of a `datasets.Dataset`, whose class numbers become their names."""
    check_fields(config.fields, table.column_names, where)
    names = {column: _class_names(feature) for column, feature in table.features.items()}
    for number, values in enumerate(table, 1):
        named = {column: _named(value, names[column]) for column, value in values.items()}
        yield Row(f"{where}:{number}", renamed(named, config.fields, split, number))


def _class_names(feature: Any) -> list[str] | None:
    """The names of a ClassLabel, or of the ClassLabels in a list."""
    names = getattr(getattr(feature, "feature", feature), "names", None)
    return list(names) if names else None


def _named(value: Any, names: list[str] | None) -> Any:
    if names is None or value is None:
        return value
    return [names[index] for index in value] if isinstance(value, list) else names[value]


_READERS: dict[str, Callable[[SourceConfig, str, list[Path]], Iterator[Row]]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "parquet": _parquet,
    "penn": _penn,
    "slu": _slu,
    "huggingface": _huggingface,
}
