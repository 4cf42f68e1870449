"""How the students trained: their learning curves."""

from dataclasses import dataclass

from mckd_ray.report.analysis.run import Run


@dataclass(frozen=True)
class Curve:
    """The training loss of one student: optimiser steps, and the mean loss since the step before."""

    name: str
    system: str
    """The system whose final student it is; empty for students of intermediate stages, the base and the teacher."""
    steps: tuple[int, ...]
    losses: tuple[float, ...]


def learning_curves(run: Run) -> list[Curve]:
    """The curves of all training steps that have happened and kept them."""
    final = {}
    for one in run.scored:
        table = run.by_key[run.by_key[one.key].inputs["labels"]]
        if one.system != "teacher" and "student" in table.inputs:
            final[table.inputs["student"]] = one.system
    found = []
    for step in run.steps:
        record = run.records.get(step.key)
        if step.kind == "train" and record is not None and record.facts.get("losses"):
            steps, losses = zip(*record.facts["losses"], strict=True)
            found.append(Curve(step.name, final.get(step.key, ""), tuple(steps), tuple(losses)))
    return found
