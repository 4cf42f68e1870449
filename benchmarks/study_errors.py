"""What relabelling does to a teacher's errors: which it takes away, and what it costs.

Parts of an annotation are counted: the spans of a tree (more than one word, without their labels), the chunks of slots.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from study_arms import Cell

from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.records import Gold, Label, read_rows
from mckd_ray.tasks.slots import read_annotation, read_chunks
from mckd_ray.tasks.trees import constituents, read_tree

Parts = frozenset[Hashable]


@dataclass(frozen=True)
class Changes:
    """Shares, in percent, of what the teacher had written about the pool.

    `removed`: of its wrong parts, those that are gone; `found`: of the gold parts that it missed, those that are there
    now; `lost`: of its right parts, those that are gone.
    """

    removed: float
    found: float
    lost: float


def _spans(target: str) -> Parts:
    return frozenset((start, end) for _, start, end in constituents(read_tree(target)) if end - start > 1)


def _chunks(target: str) -> Parts:
    return frozenset(read_chunks(read_annotation(target).tags))


PARTS: dict[str, Callable[[str], Parts]] = {"constituency": _spans, "semantic": _chunks}


def changes(cell: Cell, store: Store) -> dict[str, Changes]:
    """By the name of each table of the pool's labels after the teacher's: what has become of the teacher's parts."""
    quality = cell.graph.quality
    steps = {name: step for name, step in quality.items() if store.record(step.key) is not None}
    parts = PARTS[cell.config.task.kind]
    if "teacher labels" not in steps:
        return {}
    gold_folder = store.folder(steps["teacher labels"].inputs["gold"].key)
    gold = {row.id: parts(row.target) for row in read_rows(gold_folder / "pool.parquet", Gold)}
    teacher = _table(steps.pop("teacher labels"), parts, store)
    return {name: _changes(gold, teacher, _table(step, parts, store)) for name, step in steps.items()}


def _table(step: Step, parts: Callable[[str], Parts], store: Store) -> dict[str, Parts]:
    labels = read_rows(store.folder(step.inputs["labels"].key) / "labels.parquet", Label)
    return {label.id: parts(label.target) if label.outcome.usable else frozenset() for label in labels}


def _changes(gold: dict[str, Parts], teacher: dict[str, Parts], table: dict[str, Parts]) -> Changes:
    wrong = missed = right = removed = found = lost = 0
    for key, wanted in gold.items():
        before, after = teacher[key], table[key]
        wrong, removed = wrong + len(before - wanted), removed + len(before - wanted - after)
        missed, found = missed + len(wanted - before), found + len((wanted - before) & after)
        right, lost = right + len(wanted & before), lost + len((wanted & before) - after)
    return Changes(*(100 * part / max(1, whole) for part, whole in ((removed, wrong), (found, missed), (lost, right))))
