"""How well the two students of a stage agree on inputs that neither has seen: a way to choose settings without gold."""

import statistics

from study_arms import Cell

from mckd_ray.config_file import section_settings
from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.records import Example, Label, read_rows
from mckd_ray.tasks import TASKS


def agreement_steps(cell: Cell) -> list[Step]:
    """Steps beside a cell's graph: dev, without its gold, labelled by the students of the intermediate stages."""
    return [step for pair in pairs(cell).values() for step in pair]


def pairs(cell: Cell) -> dict[int, list[Step]]:
    """By stage, the steps by which its two students label dev."""
    if cell.family.name != "cross":
        return {}
    corpus = cell.graph.steps[0]
    settings = {"task": cell.config.task.kind, "split": "dev"}
    options = {**section_settings(cell.config.resources.labelling), "engine": "torch"}
    return {
        stage: [
            Step("relabel", f"label dev by {step.name}", settings, {"corpus": corpus, "student": step}, options)
            for step in cell.graph.steps
            if step.name.startswith(f"train mckd stage {stage} ")
        ]
        for stage in range(1, cell.stages)
    }


def agreement(cell: Cell, stage: int, store: Store) -> float | None:
    """How well the two students of a stage agree on dev, in percent of the task's score; None if not known."""
    pair = pairs(cell).get(stage, [])
    if len(pair) != 2 or any(store.record(step.key) is None for step in pair):
        return None
    task = TASKS[cell.config.task.kind]
    examples = read_rows(store.folder(cell.graph.steps[0].key) / "dev.parquet", Example)
    tables = [read_rows(store.folder(step.key) / "labels.parquet", Label) for step in pair]
    return statistics.fmean(
        task.example_value(task.counts(one.target, other.target, example))
        for example, one, other in zip(examples, *tables, strict=True)
    )
