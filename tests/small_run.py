"""A finished run in a folder, made in this process: its labels are gold with noise, less at every stage."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mckd_ray.config import ExperimentConfig
from mckd_ray.config_file import write_config
from mckd_ray.plan.steps import Graph, Step
from mckd_ray.plan.store import Store
from mckd_ray.records import Example, Gold, Label, Outcome, read_rows, write_rows
from mckd_ray.runner.means import InProcess
from mckd_ray.runner.reports import Report
from mckd_ray.runner.results import result_of
from mckd_ray.runner.run import PLAN, RESULT, graph_of, plan_as_data, run_place
from mckd_ray.runner.work import WORK, job_of
from mckd_ray.storage.files import write_json
from mckd_ray.teacher.noise import CORRUPTIONS, Noise

Answer = Callable[[Step, Example, Mapping[str, str], float], Label]
"""From a labelling step, an input, the gold of its split by id and a rate of noise to a label."""
CONFIG: dict[str, Any] = {
    "name": "small",
    "task": {"kind": "constituency"},
    "corpus": {"format": "builtin", "labelled": 10, "pool": 40, "dev": 5, "test": 30},
    "teacher": {"engine": "student", "shots": 10},
    "student": {"kind": "tagger"},
    "plan": {"stages": 3, "systems": ["teacher", "sft", "kd", "mckd", "self"], "seeds": [1, 2]},
}
SECONDS = 10.0
"""What every step takes. A step starts when its inputs are done, so steps side by side overlap."""


def small_run(
    root: Path,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    answer: Answer | None = None,
    unfinished: Callable[[Step], bool] = lambda step: False,
    name: str = "small",
) -> Path:
    """The folder of a run of `CONFIG` with `changes` to its sections. `unfinished` steps have not happened."""
    values = {
        key: {**part, **(changes or {}).get(key, {})} if isinstance(part, dict) else part
        for key, part in CONFIG.items()
    }
    config = ExperimentConfig.model_validate({**values, "name": name, "store": {"root": str(root)}})
    graph, store = graph_of(config), Store(root)
    reports: dict[str, Report] = {}
    for step in graph.steps:
        if any(need.digest not in reports for need in step.inputs.values()) or unfinished(step):
            continue
        started = max((reports[need.digest].started + SECONDS for need in step.inputs.values()), default=1_000_000.0)
        if store.record(step.key) is None:
            read = store.prepare(step)
            facts = _do(step, store, graph, answer or _noisy(config.task.kind))
            store.finish(step, started, started + SECONDS, facts, read)
            reports[step.digest] = Report(step.digest, "done", started, SECONDS)
        else:
            reports[step.digest] = Report(step.digest, "reused", started, SECONDS)
    folder = run_place(config).path
    folder.mkdir(parents=True, exist_ok=True)
    write_config(config, folder / "config.yaml")
    write_json(folder / PLAN, plan_as_data(graph, store))
    if len(reports) == len(graph.steps):
        write_json(folder / RESULT, result_of(config, graph, store, reports))
    return folder


def _do(step: Step, store: Store, graph: Graph, answer: Answer) -> dict[str, Any]:
    if step.kind == "train":
        steps = range(10, 60, 10)
        return {"losses": [[number, 2.0 / (number + step.settings["seed"])] for number in steps]}
    if step.kind in ("label", "relabel"):
        return _label(step, store, graph, answer)
    return dict(WORK[step.kind](job_of(step, store, InProcess())))


def _label(step: Step, store: Store, graph: Graph, answer: Answer) -> dict[str, Any]:
    from mckd_ray.runner.training_data import of_partitions

    job = job_of(step, store, InProcess())
    (gold_step,) = (one for one in graph.steps if one.kind == "gold")
    splits = step.settings.get("splits") or [step.settings["split"]]
    labels = []
    for split in splits:
        gold = {row.id: row.target for row in read_rows(store.folder(gold_step.key) / f"{split}.parquet", Gold)}
        labels += [
            answer(step, example, gold, noise_of(step)) for example in of_partitions(job.examples(split), step.settings)
        ]
    write_rows(job.folder / "labels.parquet", Label, labels)
    return {"rows": len(labels)}


def noise_of(step: Step) -> float:
    """The rate of wrong parts: the teacher's, less a little for every student between."""
    rate, student = 0.3, step.inputs.get("student")
    while student is not None:
        rate -= 0.05
        labels = student.inputs.get("labels-0")
        while labels is not None and labels.kind == "merge":
            labels = labels.inputs["labels-0"]
        student = labels.inputs.get("student") if labels is not None else None
    return rate


def _noisy(task: str) -> Answer:
    """Gold with noise of its own for every labelling step, and a confidence that says how much."""
    known: dict[int, Any] = {}

    def answer(step: Step, example: Example, gold: Mapping[str, str], rate: float) -> Label:
        names = known.get(len(gold)) or known.setdefault(len(gold), CORRUPTIONS[task].names(gold.values()))
        noise = Noise(rate, 0.0, int(step.digest[:6], 16))
        target = CORRUPTIONS[task].corrupt(gold[example.id], example, noise, names)
        confidence = -rate * random.Random(example.id + step.key).random()
        return Label(example.id, target, target, Outcome.OK, confidence, labeller=step.key)

    return answer


def no_answer(step: Step, example: Example, gold: Mapping[str, str], rate: float) -> Label:
    """A model that fails for every input."""
    return Label(example.id, "", "?", Outcome.UNPARSABLE, reason="it is no tree")
