"""What relabelling does to a teacher's errors: which it takes away, what it costs, and what kinds of errors are left.

Parts of an annotation are counted: the spans of a tree (more than one word, without their labels), the chunks of slots.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass

from study_arms import Cell

from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.records import Example, Gold, Label, read_rows
from mckd_ray.tasks import TASKS
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


TEACHER = "teacher labels"
_READERS: dict[str, Callable[[str], Parts]] = {"constituency": _spans, "semantic": _chunks}


@dataclass(frozen=True)
class PoolTables:
    """The annotations of the pool: gold, and by name each table of labels that the store has (None: no answer)."""

    examples: dict[str, Example]
    gold: dict[str, str]
    labels: dict[str, dict[str, str | None]]

    @classmethod
    def read(cls, cell: Cell, store: Store) -> "PoolTables | None":
        """What the store has of a cell; None if the teacher's labels are not there."""
        steps = {name: step for name, step in cell.graph.quality.items() if store.record(step.key) is not None}
        if TEACHER not in steps:
            return None
        inputs = {name: store.folder(step.key) for name, step in steps[TEACHER].inputs.items()}
        return cls(
            {row.id: row for row in read_rows(inputs["corpus"] / "pool.parquet", Example)},
            {row.id: row.target for row in read_rows(inputs["gold"] / "pool.parquet", Gold)},
            {name: _labels(step, store) for name, step in steps.items()},
        )


def _labels(step: Step, store: Store) -> dict[str, str | None]:
    labels = read_rows(store.folder(step.inputs["labels"].key) / "labels.parquet", Label)
    return {label.id: label.target if label.outcome.usable else None for label in labels}


def changes(cell: Cell, tables: PoolTables) -> dict[str, dict[str, float]]:
    """By the name of each table of the pool's labels after the teacher's: `Changes`, as a dictionary."""
    parts = _READERS[cell.config.task.kind]
    gold = {key: parts(target) for key, target in tables.gold.items()}
    found = {
        name: {key: parts(target) if target is not None else frozenset() for key, target in table.items()}
        for name, table in tables.labels.items()
    }
    teacher = found.pop(TEACHER)
    return {name: asdict(_changes(gold, teacher, table)) for name, table in found.items()}


def _changes(gold: dict[str, Parts], teacher: dict[str, Parts], table: dict[str, Parts]) -> Changes:
    wrong = missed = right = removed = found = lost = 0
    for key, wanted in gold.items():
        before, after = teacher[key], table[key]
        wrong, removed = wrong + len(before - wanted), removed + len(before - wanted - after)
        missed, found = missed + len(wanted - before), found + len((wanted - before) & after)
        right, lost = right + len(wanted & before), lost + len((wanted & before) - after)
    return Changes(*(100 * part / max(1, whole) for part, whole in ((removed, wrong), (found, missed), (lost, right))))


def error_kinds(cell: Cell, tables: PoolTables) -> dict[str, dict[str, float]]:
    """By the name of each table of the pool's labels: how many errors of each kind it has in 100 inputs."""
    task = TASKS[cell.config.task.kind]
    found: dict[str, dict[str, float]] = {}
    for name, table in tables.labels.items():
        kinds: Counter[str] = Counter()
        for key, target in tables.gold.items():
            kinds.update(task.errors(target, table[key], tables.examples[key]).kinds)
        found[name] = {kind: 100 * count / len(tables.gold) for kind, count in kinds.items()}
    return found
