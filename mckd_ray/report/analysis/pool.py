"""The pool's label tables: how good they are by stage and partition, and what students keep of what they were taught.

A student's label is `own` where it was trained on that input, `cross` where it was not. The paper's reason for MCKD is
that students memorise wrong pseudolabels of inputs that they saw, and do better on those that they did not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from mckd_ray.corpora.splits import partition
from mckd_ray.report.analysis.run import PlannedStep, Run, sample

Origin = Literal["teacher", "cross", "own", "mixed"]
MOST_FITTED = 4000
"""The fit to pseudolabels compares at most so many inputs of the pool."""
CLEAN = 100.0
"""A pseudolabel is clean if its own score against gold is this, else noisy."""


@dataclass(frozen=True)
class Table:
    """A label table of the pool: of stage 0, the teacher's, or relabelled by the students of a later stage."""

    name: str
    key: str
    stage: int
    origin: Origin
    taught: str | None
    """The key of the table that its students were trained on."""
    values: Mapping[str, float]
    """Each input's score against gold, by id."""


@dataclass(frozen=True)
class Quality:
    """The mean score of a table on one partition, of `count` inputs with gold."""

    table: str
    stage: int
    origin: Origin
    partition: int
    mean: float
    count: int


@dataclass(frozen=True)
class Fit:
    """How well students' labels agree with the pseudolabels that they, or their peers, were taught.

    `agreement`: the mean of the task's score of one against the other, in percent, over `count` inputs; `error`: the
    half width of its 95% interval.
    """

    stage: int
    origin: Origin
    clean: bool
    agreement: float
    error: float
    count: int


class Pool:
    """The pool's tables of a run that were measured against gold. Several seeds give several tables of a stage."""

    def __init__(self, run: Run) -> None:
        """Reads only what is needed, when it is."""
        self._run = run
        self.partitions = int(run.config["plan"]["partitions"])

    @cached_property
    def tables(self) -> list[Table]:
        """In the order of the plan; empty where the pool has no gold."""
        found = []
        for name, key in self._run.quality.items():
            evaluation = self._run.evaluation(key)
            if evaluation is not None:
                found.append(self._table(name, self._run.by_key[self._run.by_key[key].inputs["labels"]], evaluation))
        return found

    def _table(self, name: str, step: PlannedStep, evaluation: Mapping[str, Any]) -> Table:
        relabels = self._relabels(step)
        taught = self.taught(relabels[0]) if relabels else None
        return Table(name, step.key, self.stage(step), self.origin(step), taught, evaluation["values"])

    def _relabels(self, step: PlannedStep) -> list[PlannedStep]:
        """The relabelling steps that a table is made of."""
        if step.kind == "relabel":
            return [step]
        sources = [self._run.by_key[key] for role, key in step.inputs.items() if role.startswith("labels-")]
        return [one for source in sources for one in self._relabels(source)] if step.kind == "merge" else []

    def taught(self, relabel: PlannedStep) -> str | None:
        """The latest labels that the student of a relabelling step was trained on."""
        student = self._run.by_key[relabel.inputs["student"]]
        roles = sorted(role for role in student.inputs if role.startswith("labels-"))
        return student.inputs[roles[-1]] if roles else None

    def stage(self, step: PlannedStep) -> int:
        """How many stages of relabelling the labels of a step have behind them: 0 for the teacher's."""
        relabels = self._relabels(step)
        taught = self.taught(relabels[0]) if relabels else None
        return 0 if taught is None else 1 + self.stage(self._run.by_key[taught])

    def origin(self, step: PlannedStep) -> Origin:
        """Who wrote the labels of a step: the teacher, or students that had, or had not, been trained on the input."""
        kinds = {seen for relabel in self._relabels(step) for seen in self._seen(relabel)}
        if not kinds:
            return "teacher"
        return "mixed" if len(kinds) > 1 else ("own" if kinds.pop() else "cross")

    def _seen(self, relabel: PlannedStep) -> set[bool]:
        """Whether the student was trained on the partitions that it relabels."""
        everything = range(self.partitions)
        parts = self._run.by_key[relabel.inputs["student"]].settings["data"]
        trained = {one for part in parts if part["from"] == "labels" for one in part.get("partitions", everything)}
        return {one in trained for one in relabel.settings.get("partitions", everything)}

    @cached_property
    def quality(self) -> list[Quality]:
        """The quality of each table on each partition."""
        found = []
        for table in self.tables:
            parts: list[list[float]] = [[] for _ in range(self.partitions)]
            for name, value in table.values.items():
                parts[partition(name, self.partitions)].append(value)
            found += [
                Quality(table.name, table.stage, table.origin, number, float(np.mean(values)), len(values))
                for number, values in enumerate(parts)
                if values
            ]
        return found

    @cached_property
    def fitted(self) -> int:
        """How many inputs of the pool `fit` compares at most."""
        return min(MOST_FITTED, max((len(table.values) for table in self.tables), default=0))

    @cached_property
    def fit(self) -> list[Fit]:
        """The agreement of each stage's labels with those they were made from, clean and noisy ones apart."""
        known = {table.key: table for table in self.tables}
        groups: dict[tuple[int, Origin, bool], list[float]] = {}
        for table in self.tables:
            taught = known.get(table.taught or "")
            if taught is not None and table.origin != "mixed":
                for clean, agreement in self._agreements(table, taught):
                    groups.setdefault((table.stage, table.origin, clean), []).append(agreement)
        return [
            Fit(*group, float(np.mean(values)), 1.96 * float(np.std(values)) / len(values) ** 0.5, len(values))
            for group, values in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1], not item[0][2]))
        ]

    def _agreements(self, table: Table, taught: Table) -> list[tuple[bool, float]]:
        run, task = self._run, self._run.task
        ours, theirs = run.labels(table.key), run.labels(taught.key)
        examples = self._examples
        return [
            (
                taught.values[name] >= CLEAN,
                task.example_value(task.counts(theirs[name].target, ours[name].target, examples[name])),
            )
            for name in sample(list(table.values), MOST_FITTED)
            if ours[name].outcome.usable and theirs[name].outcome.usable
        ]

    @cached_property
    def _examples(self) -> Mapping[str, Any]:
        return self._run.examples("pool")
