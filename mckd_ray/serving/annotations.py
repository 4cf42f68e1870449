"""From a model's label to the annotation as structure, in JSON.

JSON is written here rather than by a library: trees may be as deep as a sentence is long, and encoders give up before.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mckd_ray.records import Label, Outcome
from mckd_ray.serving.inputs import Asked
from mckd_ray.serving.tokenise import Span
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.slots import NO_INTENT, read_annotation, read_chunks
from mckd_ray.tasks.trees import Tree, check_leaves, read_tree


def result_json(asked: Asked, label: Label, task: str, linearisation: str) -> str:
    """The object `schema.Result` for the `label`, `completed`, that a model gave one input."""
    spans = asked.spans
    fields: dict[str, Any] = {"id": asked.id} if asked.id is not None else {}
    fields |= {
        "outcome": label.outcome.value,
        "reason": label.reason or None,
        "confidence": None if math.isnan(label.confidence) else round(label.confidence, 6),
    }
    if label.outcome is Outcome.FAILED:
        return _object(fields)
    fields["output"] = label.target
    if task != "text":
        fields |= {"tokens": asked.example.tokens, "spans": spans}
    if task == "semantic":
        fields |= _slots(label.target, asked.example.tokens, spans)
    if task == "constituency":
        tree = read_tree(label.target)
        check_leaves(tree, asked.example.tokens)
        return f'{_object(fields)[:-1]}, "tree": {tree_json(tree, asked.example.tokens, spans)}}}'
    return _object(fields)


def completed(label: Label, asked: Asked, task: str, linearisation: str) -> Label:
    """`label` with an annotation in any case but one: the model could not take the input at all.

    What was cut off is mended; of what could not be parsed, the repair makes an annotation that says next to nothing.
    """
    if label.outcome.usable or (label.outcome is Outcome.FAILED and not label.raw):
        return label
    target = TASKS[task].linearisations[linearisation].repair(label.raw, asked.example)
    outcome = Outcome.REPAIRED if label.outcome is Outcome.FAILED else label.outcome
    return replace(label, target=target, outcome=outcome)


def tree_json(tree: Tree, tokens: Sequence[str], spans: Sequence[Span] | None) -> str:
    """The object `schema.Node` for `tree` over `tokens`, whose places in the text are `spans`."""
    pieces: list[str] = []
    done = 0
    stack: list[tuple[Tree, str] | tuple[Tree, int, int, str]] = [(tree, "")]
    while stack:
        item = stack.pop()
        if len(item) == 4:  # The end of a constituent that began as the piece `at`, with the token `start`.
            node, at, start, comma = item
            pieces[at] = f'{comma}{{{_place(node.label, start, done, spans)}, "children": ['
            pieces.append("]}")
            continue
        node, comma = item
        if node.word is not None:
            word = json.dumps(tokens[done], ensure_ascii=False)
            pieces.append(f'{comma}{{{_place(node.label, done, done + 1, spans)}, "word": {word}}}')
            done += 1
            continue
        stack.append((node, len(pieces), done, comma))
        pieces.append("")
        stack.extend((child, ", ") for child in reversed(node.children[1:]))
        stack.append((node.children[0], ""))
    return "".join(pieces)


def _place(label: str, start: int, end: int, spans: Sequence[Span] | None) -> str:
    characters = f', "start_char": {spans[start][0]}, "end_char": {spans[end - 1][1]}' if spans else ""
    return f'"label": {json.dumps(label, ensure_ascii=False)}, "start": {start}, "end": {end}{characters}'


def _slots(target: str, tokens: Sequence[str], spans: Sequence[Span] | None) -> dict[str, Any]:
    annotation = read_annotation(target)
    slots = []
    for chunk in read_chunks(annotation.tags):
        slot = {"label": chunk.slot, "start": chunk.start, "end": chunk.end}
        if spans:
            slot |= {"start_char": spans[chunk.start][0], "end_char": spans[chunk.end - 1][1]}
        slots.append({**slot, "text": " ".join(tokens[chunk.start : chunk.end])})
    intent = None if annotation.intent == NO_INTENT else annotation.intent
    return {"intent": intent, "tags": annotation.tags, "slots": slots}


def _object(fields: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in fields.items() if value is not None}, ensure_ascii=False)
