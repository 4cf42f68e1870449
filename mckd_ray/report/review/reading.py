"""Reviewed files back as labelled examples: rows that a corpus of format `jsonl` takes."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mckd_ray.corpora.rows import lines
from mckd_ray.errors import DataError
from mckd_ray.report.review.export import REVIEWED
from mckd_ray.report.review.forms import INTENT, QUESTIONS, SLOTS, TARGET, TREE, Form, Span, form_of, row_of
from mckd_ray.storage.files import write_text
from mckd_ray.tasks import TASKS


@dataclass(frozen=True)
class Reviewed:
    """One entry of a reviewed file: where it stands, and its form; None if nobody has reviewed it."""

    where: str
    id: str
    text: str
    form: Form | None


def import_review(path: Path, output: Path) -> dict[str, Any]:
    """Write what was reviewed in `path` to the JSONL file `output`; returns its task and counts.

    Raises DataError, with the place, for an entry that is no annotation of its input, and if nothing was reviewed.
    """
    entries = list(_csv(path) if path.suffix == ".csv" else _json(path))
    done = [entry for entry in entries if entry.form is not None]
    if not done:
        raise DataError(f"{path}: holds {len(entries)} inputs, of which none was reviewed.")
    task = _task(path, done)
    rows = [_row(task, entry) for entry in done]
    write_text(output, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return {"task": task, "rows": len(rows), "left_out": len(entries) - len(rows), "file": str(output)}


def _row(task: str, entry: Reviewed) -> dict[str, Any]:
    assert entry.form is not None  # noqa: S101 - those were left out
    try:
        return row_of(task, entry.id, entry.text, entry.form)
    except DataError as error:
        raise DataError(f"{entry.where}: {error}.") from error


def _task(path: Path, done: list[Reviewed]) -> str:
    """The task whose questions the file answers."""
    answered = {name for one in done if one.form for name in (*one.form.texts, *((SLOTS,) if one.form.spans else ()))}
    for task, questions in QUESTIONS.items():
        if answered & set(questions):
            return task
    known = ", ".join(name for questions in QUESTIONS.values() for name in questions)
    raise DataError(f"{path}: answers none of the questions that `mckd review export` asks ({known}).")


def _csv(path: Path) -> Iterator[Reviewed]:
    table = csv.DictReader((f"{line}\n" for _, line in lines(path)), strict=True)
    columns = list(table.fieldnames or ())
    question = next((name for name in (TREE, TARGET, "tags") if name in columns), None)
    if question is None or not {"id", "input", REVIEWED} <= set(columns):
        raise DataError(f"{path}: its columns are {columns}; it needs those that `mckd review export --to csv` writes.")
    for row in table:
        where = f"{path}:{table.line_num}"
        if None in row or None in row.values():
            raise DataError(f"{where}: has not the {len(columns)} cells of the first line.")
        form = _cells(where, question, row) if row[REVIEWED].strip() else None
        yield Reviewed(where, row["id"], row["input"], form)


def _cells(where: str, question: str, row: Mapping[str, str]) -> Form:
    """The form in a row of CSV; BIO tags become spans, after the task has checked them."""
    if question != "tags":
        return Form({question: row[question]})
    values = {"id": row["id"], "tokens": row["input"].split(" "), "tags": row["tags"].split(), INTENT: row[INTENT]}
    try:
        example, target = TASKS["semantic"].read(values)
    except DataError as error:
        raise DataError(f"{where}: {error}.") from error
    return form_of("semantic", example, target or "")


def _json(path: Path) -> Iterator[Reviewed]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise DataError(f"{path}: is neither .csv nor JSON ({error}).") from error
    readers = {"data": _label_studio, "fields": _argilla}
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{path}: is not a JSON list of objects, as Argilla and Label Studio export.")
    for number, entry in enumerate(entries, 1):
        where = f"{path}: entry {number}"
        kind = next((name for name in readers if isinstance(entry.get(name), dict)), None)
        if kind is None:
            raise DataError(f"{where}: has neither `data` (Label Studio) nor `fields` (Argilla).")
        try:
            yield readers[kind](where, entry)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise DataError(f"{where}: is not as the tool exports it ({type(error).__name__}: {error}).") from error


def _label_studio(where: str, entry: Mapping[str, Any]) -> Reviewed:
    """The last annotation that was not skipped."""
    data = entry["data"]
    kept = [one for one in entry.get("annotations") or () if not one.get("was_cancelled")]
    form = _results(kept[-1]["result"]) if kept else None
    return Reviewed(where, data["id"], data["text"], form)


def _results(results: list[Mapping[str, Any]]) -> Form:
    texts: dict[str, str] = {}
    spans = []
    for result in results:
        value, name = result["value"], result["from_name"]
        if name == SLOTS:
            spans.append(Span(value["start"], value["end"], value["labels"][0]))
        elif name == INTENT:
            texts[name] = value["choices"][0]
        else:
            said = value["text"]
            texts[name] = said if isinstance(said, str) else said[-1]
    return Form(texts, tuple(spans))


def _argilla(where: str, entry: Mapping[str, Any]) -> Reviewed:
    """The last submitted response to each question."""
    texts: dict[str, str] = {}
    spans: tuple[Span, ...] = ()
    answered = False
    for name, responses in (entry.get("responses") or {}).items():
        kept = [one for one in responses if one.get("status", "submitted") == "submitted"]
        if kept:
            answered, value = True, kept[-1]["value"]
            if name == SLOTS:
                spans = tuple(Span(span["start"], span["end"], span["label"]) for span in value)
            else:
                texts[name] = value
    return Reviewed(where, entry["id"], entry["fields"]["text"], Form(texts, spans) if answered else None)
