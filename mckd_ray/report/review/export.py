"""A selection as a file for an annotation tool: Argilla's records, Label Studio's tasks, or CSV for a spreadsheet."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from mckd_ray.report.review.forms import INTENT, QUESTIONS, SLOTS, TARGET, TREE, Form, form_of, names_of
from mckd_ray.report.review.select import Selection
from mckd_ray.storage.files import write_text
from mckd_ray.tasks.slots import read_annotation

GUIDELINES = {
    "constituency": "Correct the tree: the same words in the same order, each in brackets under its part of speech.",
    "semantic": "Mark the words of each slot, whole words only, and choose the intent.",
    "text": "Correct the target.",
}
REVIEWED = "reviewed"
"""The column of CSV in which a reviewer says that a row is done."""
Files = dict[str, str]


def write_review(selection: Selection, tool: str, path: Path) -> list[Path]:
    """Write `selection` for `tool` (a key of `FORMATS`) to `path`; returns it and the files written beside it."""
    files = FORMATS[tool](selection, path.stem)
    written = []
    for suffix, text in files.items():
        target = path if suffix == "" else path.with_name(f"{path.stem}{suffix}")
        write_text(target, text)
        written.append(target)
    return written


def _forms(selection: Selection) -> list[tuple[str, str, str, Form]]:
    """Id, input, reason and suggestion of each candidate."""
    task = selection.task.name
    return [
        (one.example.id, one.example.source, one.why, form_of(task, one.example, one.suggestion))
        for one in selection.candidates
    ]


def _csv(selection: Selection, _: str) -> Files:
    """One row an input; what is to be corrected has the columns of the corpus's own rows."""
    text = io.StringIO()
    columns = {"constituency": [TREE], "semantic": [INTENT, "tags"], "text": [TARGET]}[selection.task.name]
    writer = csv.DictWriter(text, ["id", "input", *columns, "why", REVIEWED], lineterminator="\n")
    writer.writeheader()
    for one in selection.candidates:
        row = {"id": one.example.id, "input": one.example.source, "why": one.why, REVIEWED: ""}
        writer.writerow(row | _cells(columns, one.suggestion))
    return {"": text.getvalue()}


def _cells(columns: list[str], suggestion: str) -> dict[str, str]:
    if columns == [INTENT, "tags"]:
        annotation = read_annotation(suggestion) if suggestion else None
        return {INTENT: annotation.intent, "tags": " ".join(annotation.tags)} if annotation else {}
    return {columns[0]: suggestion}


def _label_studio(selection: Selection, _: str) -> Files:
    """Tasks with predictions, and beside them the labelling config."""
    tasks = []
    for name, text, why, form in _forms(selection):
        task: dict[str, Any] = {"data": {"id": name, "text": text, "why": why}}
        results = _results(text, form)
        if results:
            task["predictions"] = [{"model_version": "mckd", "result": results}]
        tasks.append(task)
    return {"": _json(tasks), ".xml": _label_config(selection)}


def _results(text: str, form: Form) -> list[dict[str, Any]]:
    results = [
        {
            "from_name": SLOTS,
            "to_name": "text",
            "type": "labels",
            "value": {
                "start": span.start,
                "end": span.end,
                "text": text[span.start : span.end],
                "labels": [span.slot],
            },
        }
        for span in form.spans
    ]
    for question, answer in form.texts.items():
        kind, key = ("choices", "choices") if question == INTENT else ("textarea", "text")
        results.append({"from_name": question, "to_name": "text", "type": kind, "value": {key: [answer]}})
    return results


def _label_config(selection: Selection) -> str:
    task = selection.task.name
    lines = ["<View>", f"  <Header value={quoteattr(GUIDELINES[task])}/>", '  <Header value="$why" size="5"/>']
    if task == "semantic":
        slots, intents = names_of(selection.targets)
        lines += [f'  <Labels name="{SLOTS}" toName="text">']
        lines += [f"    <Label value={quoteattr(slot)}/>" for slot in slots]
        lines += ["  </Labels>", '  <Text name="text" value="$text"/>']
        lines += [f'  <Choices name="{INTENT}" toName="text" choice="single">']
        lines += [f"    <Choice value={quoteattr(intent)}/>" for intent in intents] + ["  </Choices>"]
    else:
        (question,) = QUESTIONS[task]
        lines += ['  <Text name="text" value="$text"/>']
        lines += [f'  <TextArea name="{question}" toName="text" rows="6" editable="true" maxSubmissions="1"/>']
    return "\n".join([*lines, "</View>", ""])


def _argilla(selection: Selection, stem: str) -> Files:
    """Records with suggestions, and beside them the settings of the dataset."""
    records = [
        {
            "id": name,
            "fields": {"text": text},
            "metadata": {"why": why},
            "suggestions": {question: {"value": value, "agent": "mckd"} for question, value in _values(form).items()},
            "responses": {},
            "vectors": {},
        }
        for name, text, why, form in _forms(selection)
    ]
    return {"": _json(records), ".settings.json": _json(_argilla_settings(selection))}


def _values(form: Form) -> dict[str, Any]:
    spans = [{"start": span.start, "end": span.end, "label": span.slot} for span in form.spans]
    return {**({SLOTS: spans} if INTENT in form.texts else {}), **form.texts}


def _argilla_settings(selection: Selection) -> dict[str, Any]:
    task = selection.task.name
    slots, intents = names_of(selection.targets) if task == "semantic" else ([], [])
    kinds: dict[str, dict[str, Any]] = {
        SLOTS: {
            "type": "span",
            "field": "text",
            "allow_overlapping": False,
            "visible_options": max(3, len(slots)),
            "options": _options(slots),
        },
        INTENT: {"type": "label_selection", "visible_options": max(3, len(intents)), "options": _options(intents)},
    }
    questions = [
        {"name": name, "title": name, "required": name != SLOTS, "settings": kinds.get(name, {"type": "text"})}
        for name in QUESTIONS[task]
    ]
    return {
        "guidelines": GUIDELINES[task],
        "allow_extra_metadata": True,
        "fields": [{"name": "text", "title": "text", "required": True, "settings": {"type": "text"}}],
        "questions": questions,
        "metadata": [],
        "vectors": [],
    }


def _options(names: list[str]) -> list[dict[str, str]]:
    return [{"value": name, "text": name} for name in names]


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


FORMATS: dict[str, Callable[[Selection, str], Files]] = {
    "argilla": _argilla,
    "label-studio": _label_studio,
    "csv": _csv,
}
SUFFIXES = {"argilla": ".json", "label-studio": ".json", "csv": ".csv"}
"""The ending of the file of each tool."""
