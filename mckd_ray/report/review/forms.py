"""What a reviewer fills in for an input of each task, apart from the tool that shows it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mckd_ray.errors import DataError
from mckd_ray.records import Example
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.slots import NO_INTENT, Chunk, read_annotation, read_chunks, write_chunks

TREE, TARGET, SLOTS, INTENT = "tree", "target", "slots", "intent"
"""The names of the questions. They tell the task of a reviewed file."""
QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "constituency": (TREE,),
    "semantic": (SLOTS, INTENT),
    "text": (TARGET,),
}


@dataclass(frozen=True)
class Span:
    """The characters `start` to `end` (exclusive) of the input fill `slot`."""

    start: int
    end: int
    slot: str


@dataclass(frozen=True)
class Form:
    """The answers to the questions of a task: texts by question, and the spans of `slots`."""

    texts: Mapping[str, str] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()


def form_of(task: str, example: Example, target: str) -> Form:
    """The form that says `target`; empty where there is none."""
    if not target:
        return Form()
    if task != "semantic":
        (question,) = QUESTIONS[task]
        return Form({question: target})
    annotation, starts = read_annotation(target), _starts(example.tokens)
    spans = tuple(
        Span(starts[chunk.start], starts[chunk.end - 1] + len(example.tokens[chunk.end - 1]), chunk.slot)
        for chunk in read_chunks(annotation.tags)
    )
    return Form({INTENT: annotation.intent}, spans)


def row_of(task: str, name: str, text: str, form: Form) -> dict[str, Any]:
    """The corpus row that a filled form stands for, checked by the task. Raises DataError with a reason."""
    row: dict[str, Any] = {"id": name, "text": text} if task == "text" else {"id": name, "tokens": text.split(" ")}
    if task == "semantic":
        row |= {"tags": list(_tags(text, form.spans)), "intent": form.texts.get(INTENT) or NO_INTENT}
    else:
        (question,) = QUESTIONS[task]
        row[question] = form.texts.get(question, "").strip()
    example, target = TASKS[task].read(row)
    if target is None:
        raise DataError("there is no annotation")
    return TASKS[task].write(example, target)


def names_of(targets: Iterable[str]) -> tuple[list[str], list[str]]:
    """The slots and the intents that some targets of the semantic task use, sorted."""
    annotations = [read_annotation(target) for target in targets]
    slots = {chunk.slot for annotation in annotations for chunk in read_chunks(annotation.tags)}
    return sorted(slots), sorted({annotation.intent for annotation in annotations})


def _starts(tokens: Sequence[str]) -> list[int]:
    """Where each token starts in the text that joins them by spaces."""
    starts, place = [], 0
    for token in tokens:
        starts.append(place)
        place += len(token) + 1
    return starts


def _tags(text: str, spans: Iterable[Span]) -> tuple[str, ...]:
    """The tags of spans of whole words, whatever spaces they take along. Raises DataError for others, and overlaps."""
    tokens = text.split(" ")
    starts = _starts(tokens)
    ends = [start + len(token) for start, token in zip(starts, tokens, strict=True)]
    chunks: list[Chunk] = []
    for span in sorted(spans, key=lambda span: span.start):
        said = text[span.start : span.end]
        start = span.start + len(said) - len(said.lstrip())
        end = span.end - len(said) + len(said.rstrip())
        if start not in starts or end not in ends or end <= start:
            raise DataError(f"slot '{span.slot}' covers '{said}', which is not one or more whole words; mark those")
        chunk = Chunk(starts.index(start), ends.index(end) + 1, span.slot)
        if chunks and chunk.start < chunks[-1].end:
            raise DataError(f"slots '{chunks[-1].slot}' and '{span.slot}' overlap at '{said}'; a word has one slot")
        chunks.append(chunk)
    return write_chunks(chunks, len(tokens))
