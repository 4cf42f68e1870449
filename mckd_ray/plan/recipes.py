"""What a student trains on: parts, each with settings that say where its rows are from and the tables that they need.

`runner/training_data.py` reads them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mckd_ray.config import ExperimentConfig, PlanConfig
from mckd_ray.plan.checks import SCRATCH
from mckd_ray.plan.steps import Step

Tables = tuple[Step, ...]
"""The pool's labels after a stage: those by which the method goes on, then those of `mix` beside them."""


@dataclass(frozen=True)
class Part:
    """A part of a training set; `tables` are label tables by role."""

    settings: Mapping[str, Any]
    tables: Mapping[str, Step] = field(default_factory=dict)


def pool_recipe(plan: PlanConfig, stages: Sequence[Tables], seen: tuple[int, ...]) -> list[Part]:
    """The labels of the partitions `seen`, by `mix` of several tables, and the labelled budget by its weight.

    `stages`: the tables of the stages so far, of which the first is the teacher's.
    """
    teacher, latest = stages[0][0], stages[-1]
    sources = [teacher, *latest] if plan.mix == "teacher+cross" and len(stages) > 1 else [*latest]
    where = {"partitions": list(seen), "of": plan.partitions} if len(seen) < plan.partitions else {}
    parts = [_labels_part(plan, source, latest[0] if source is teacher else teacher, where) for source in sources]
    return parts + (gold_recipe(plan.gold_weight) if plan.gold_weight else [])


def _labels_part(plan: PlanConfig, table: Step, other: Step, where: Mapping[str, Any]) -> Part:
    """The labels of `table`; `other` is the one that says, at the same stage, how good they are."""
    settings, tables = {"from": "labels", **where}, {"labels": table}
    selection = plan.selection
    if selection.by == "agreement" and other is not table:
        tables["other"] = other
    if selection.by == "confidence" or "other" in tables:
        settings |= {"by": selection.by, "keep": selection.keep, "weigh": selection.weigh}
    return Part(settings, tables)


def gold_recipe(copies: int) -> list[Part]:
    """The labelled budget, each row counting `copies` times."""
    return [Part({"from": "labelled", "copies": copies})]


def teacher_recipe(config: ExperimentConfig) -> list[Part]:
    """What a teacher of ours learns from: the general domain's gold, and the shots.

    A language model, whose shots stand in its prompts, sees the pool's raw text instead.
    """
    teacher = config.teacher
    parts = [Part({"from": "general"})] if config.corpus.general else []
    if teacher.model == SCRATCH:
        return [*parts, Part({"from": "pool"})]
    shots = {"from": "labelled", "shots": teacher.shots, "seed": teacher.seed, "copies": teacher.shot_weight}
    return [*parts, Part(shots)] if teacher.shots else parts
