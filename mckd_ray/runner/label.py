"""The teacher alone: all of its labels, those of a few inputs, or a preview before anything much is spent."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mckd_ray.config import ExperimentConfig
from mckd_ray.errors import ConfigError, StepError
from mckd_ray.plan.steps import Graph, Step
from mckd_ray.plan.store import Store
from mckd_ray.records import Example, Label
from mckd_ray.runner.progress import ProgressWriter
from mckd_ray.runner.reports import Report
from mckd_ray.runner.run import View, do_steps, graph_of

if TYPE_CHECKING:
    from mckd_ray.runner.asking import PromptedTeacher
    from mckd_ray.runner.work import Job

Watch = Callable[[View], None]


def label(config: ExperimentConfig, watch: Watch, verbose: bool = False) -> dict[str, Any]:
    """Have the teacher label all that the experiment asks it for. Returns where the table is, and the step's facts."""
    graph, store, step = _teacher_step(config)
    _do(config, graph.needs([step]), store, watch, verbose)
    record = store.record(step.key)
    facts = {} if record is None else record.facts
    return {"labels": str(store.place(step.key) / "labels.parquet"), **facts}


def label_some(config: ExperimentConfig, count: int, watch: Watch, verbose: bool = False) -> dict[str, Any]:
    """Have the teacher label `count` inputs of the pool, always the same ones; the answers of a prompted one are kept.

    Returns the `rows` (input, prompt, answer, label), the `facts` of asking, and an `estimate` of what the rest will
    cost, from the mean of these rows (None for a teacher that is not prompted).
    """
    from mckd_ray.runner.labelling import TeacherLabeller
    from mckd_ray.runner.means import OnRay
    from mckd_ray.runner.session import session
    from mckd_ray.runner.work import job_of, teacher_of

    graph, store, step = _teacher_step(config)
    _do(config, [need for need in graph.needs([step]) if need is not step], store, watch, verbose)
    job = job_of(step, store, OnRay())
    job.folder.mkdir(parents=True, exist_ok=True)
    pool = job.examples("pool")
    chosen = random.Random(f"preview:{config.teacher.seed}").sample(sorted(pool, key=lambda row: row.id), len(pool))
    examples, teacher = chosen[:count], teacher_of(job)
    if isinstance(teacher, TeacherLabeller):
        labels = teacher.load().label(examples)
        return {"rows": _rows(examples, labels), "facts": {}, "estimate": None}
    with session(config.resources, asking=True, verbose=verbose):
        return _asked(job, teacher, examples)


def _asked(job: "Job", teacher: "PromptedTeacher", examples: Sequence[Example]) -> dict[str, Any]:
    from mckd_ray.runner.prompting import ask
    from mckd_ray.runner.work import answer_book

    book = answer_book(job)
    asking = ask(teacher, examples, book, ProgressWriter(job.place, len(examples)))
    rows, prompts = _rows(examples, asking.labels), asking.questions.prompts
    for row, request, answer in zip(rows, asking.requests, asking.answers, strict=True):
        row |= {"prompt": prompts.text(request.example, request.shots[: answer.shots]), "samples": list(answer.texts)}
    whole = [example for split in job.settings["splits"] for example in job.examples(split)]
    keys = {request.key for request in asking.questions.of(whole)}
    with book.held():
        known = book.find(keys)
    return {"rows": rows, "facts": asking.facts, "estimate": asking.estimate(len(keys) - len(known))}


def _rows(examples: Sequence[Example], labels: Sequence[Label]) -> list[dict[str, Any]]:
    return [{"input": example.source, **asdict(label)} for example, label in zip(examples, labels, strict=True)]


def _teacher_step(config: ExperimentConfig) -> tuple[Graph, Store, Step]:
    graph, store = graph_of(config), Store(config.store.root)
    store.check_writable()
    steps = [step for step in graph.steps if step.kind == "label"]
    if not steps:
        raise ConfigError(f"plan.systems {list(config.plan.systems)} need no teacher; add teacher, kd or mckd.")
    return graph, store, steps[0]


def _do(config: ExperimentConfig, steps: Sequence[Step], store: Store, watch: Watch, verbose: bool) -> None:
    def show(reports: Mapping[str, Report]) -> None:
        watch(View(config, steps, store, reports))

    reports = do_steps(config, steps, store, show, verbose)
    failed = next((report for report in reports.values() if report.state == "failed"), None)
    if failed is not None:
        raise StepError(failed.message)
