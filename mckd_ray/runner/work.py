"""The work of each kind of step: from the folders of its inputs to its own folder. None of it knows the graph."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mckd_ray import corpora
from mckd_ray.config import (
    CorpusConfig,
    LabellingResources,
    StudentConfig,
    StudentResources,
    TeacherConfig,
    TeacherResources,
    TrackingConfig,
    TrainingConfig,
)
from mckd_ray.errors import DataError
from mckd_ray.evaluation.scoring import evaluate
from mckd_ray.plan.identity import digest_of
from mckd_ray.plan.steps import Kind, Step
from mckd_ray.plan.store import Store
from mckd_ray.records import Answer, Example, Gold, Label, Outcome, TrainingRow, read_rows, write_rows
from mckd_ray.runner.asking import PromptedStudent, PromptedTeacher
from mckd_ray.runner.labelling import LabellerSource, StudentLabeller, TeacherLabeller, label_in_pool, own_pool
from mckd_ray.runner.means import Means
from mckd_ray.runner.progress import ProgressWriter
from mckd_ray.runner.prompting import ask, outcome_counts
from mckd_ray.runner.training_data import of_partitions, training_rows
from mckd_ray.storage.files import write_json
from mckd_ray.storage.root import Place
from mckd_ray.student.base import Generation, TrainingJob
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.prompt_form import read_template
from mckd_ray.teacher import PROMPTED
from mckd_ray.teacher.answers import AnswerBook, sampling

LABELS = "labels.parquet"
NAMED = 5
"""How many of the inputs that got no label a record names."""
Facts = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """A step as its work sees it: plain settings and places."""

    key: str
    settings: Mapping[str, Any]
    options: Mapping[str, Any]
    inputs: Mapping[str, Place]
    """The place of each input step, by role."""
    place: Place
    """Where the result goes; it may hold what an earlier attempt left."""
    means: Means
    """How students are trained and inputs labelled."""

    @property
    def folder(self) -> Path:
        """Where the result is written on this node."""
        return self.place.path

    def examples(self, split: str) -> list[Example]:
        """The inputs of a split, or of the labelled budget, without gold."""
        path = (self.inputs["corpus"] / f"{split}.parquet").here()
        if split == "labelled":
            return [row.example for row in read_rows(path, TrainingRow)]
        return read_rows(path, Example)


def job_of(step: Step, store: Store, means: Means) -> Job:
    """A step as its work sees it."""
    inputs = {role: store.place(need.key) for role, need in step.inputs.items()}
    return Job(step.key, step.settings, step.options, inputs, store.place(step.key), means)


def write_corpus(job: Job) -> Facts:
    """Inputs of every split, and the two tables whose gold may be used: the labelled budget and the general domain."""
    corpus = corpora.load(CorpusConfig.model_validate(job.options["corpus"]), TASKS[job.settings["task"]])
    splits: dict[str, Sequence[Example]] = {"pool": corpus.pool, "dev": corpus.dev, "test": corpus.test}
    for split, examples in splits.items():
        write_rows(job.folder / f"{split}.parquet", Example, examples)
    known = {"labelled": corpus.labelled, "general": corpus.general}
    for name, rows in known.items():
        write_rows(job.folder / f"{name}.parquet", TrainingRow, rows)
    raw = [*corpus.pool, *(row.example for rows in known.values() for row in rows)]
    write_rows(job.folder / "raw.parquet", Example, raw)
    counts = {name: len(rows) for name, rows in {**splits, **known}.items()}
    return {"rows": counts, "problems": len(corpus.problems), "first_problems": list(corpus.problems[:20])}


def write_gold(job: Job) -> Facts:
    """Gold of the pool, dev and test: read by evaluation alone (and by a simulated teacher, which is no teacher)."""
    corpus = corpora.load(CorpusConfig.model_validate(job.options["corpus"]), TASKS[job.settings["task"]])
    for split, targets in corpus.gold.items():
        write_rows(job.folder / f"{split}.parquet", Gold, [Gold(*item) for item in targets.items()])
    return {"rows": {split: len(targets) for split, targets in corpus.gold.items()}}


def train_student(job: Job) -> Facts:
    """Train a student on what the settings' `data` says."""
    resources = StudentResources.model_validate({key: job.options[key] for key in StudentResources.model_fields})
    data = job.settings["data"]
    rows = training_rows(data, job.inputs, TASKS[job.settings["task"]])
    if not rows:
        raise DataError("there is no usable row to train on: every label failed or could not be parsed.")
    write_rows(job.folder / "rows.parquet", TrainingRow, rows)
    (job.place / "rows.parquet").keep()
    masked = [part for part in data if "masking" in part]
    student = {
        **job.settings["student"],
        "model": job.options["model"],
        "base": {**masked[0]["masking"]} if masked else None,
    }
    training_job = TrainingJob(
        task=job.settings["task"],
        student=StudentConfig.model_validate(student),
        training=TrainingConfig.model_validate(job.settings["training"]),
        objective="masked" if masked else "supervised",
        rows=job.folder / "rows.parquet",
        raw_text=(job.inputs["corpus"] / "raw.parquet").path,
        init=(job.inputs["init"] / "model").path if "init" in job.inputs else None,
        seed=job.settings["seed"],
        workers=resources.workers,
        accumulate=resources.accumulate,
        work=job.folder / "checkpoints",
        template=read_template(job.options.get("template", "")),
        name=job.options["title"],
        tracking=TrackingConfig.model_validate(job.options["tracking"]),
    )
    facts = job.means.train(training_job, job.place, resources)
    return {"rows": len(rows), **facts}


def label_by_teacher(job: Job) -> Facts:
    """Label the splits that the settings name by the teacher."""
    examples = [example for split in job.settings["splits"] for example in job.examples(split)]
    teacher = teacher_of(job)
    if isinstance(teacher, TeacherLabeller):
        return _label(job, teacher, examples)
    asking = ask(teacher, examples, answer_book(job), ProgressWriter(job.place, len(examples)))
    write_rows(job.folder / "answers.parquet", Answer, asking.answers)
    labels = [replace(label, labeller=job.key) for label in asking.labels]
    content = digest_of([[label.id, label.target, label.outcome.value] for label in labels])
    return {**_write_labels(job, labels), **asking.facts, "content": content}


def teacher_of(job: Job) -> PromptedTeacher | TeacherLabeller:
    """The teacher of a labelling step."""
    values = {name: value for name, value in job.settings.items() if name in TeacherConfig.model_fields}
    places = {name: job.options[name] for name in ("model", "template")}
    config = TeacherConfig.model_validate({**values, **places})
    checkpoint = job.inputs["checkpoint"] / "model" if "checkpoint" in job.inputs else None
    if config.engine in PROMPTED:
        resources = TeacherResources.model_validate(job.options["teacher"])
        labelled, general = (job.inputs["corpus"] / f"{name}.parquet" for name in ("labelled", "general"))
        return PromptedTeacher(config, resources, job.settings["task"], labelled, general, checkpoint)
    gold = [job.inputs["gold"] / f"{split}.parquet" for split in job.settings["splits"] if "gold" in job.inputs]
    return TeacherLabeller(config, job.settings["task"], checkpoint, tuple(gold))


def answer_book(job: Job) -> AnswerBook:
    """The answers that the store has of the prompted teacher of a labelling step."""
    determines = sampling(job.settings)
    if "checkpoint" in job.inputs:
        determines["model"] = job.inputs["checkpoint"].name
    return AnswerBook(Place(job.place.root, f"answers/{digest_of(determines)}"))


def relabel_by_student(job: Job) -> Facts:
    """Label a split, or some partitions of the pool, by a trained student."""
    examples = of_partitions(job.examples(job.settings["split"]), job.settings)
    model = job.inputs["student"] / "model"
    if job.options["engine"] == "vllm":
        return _relabel_by_asking(job, model, examples)
    generation = Generation(job.options["engine"], job.settings.get("quantization"))
    return _label(job, StudentLabeller(model, generation), examples)


def _relabel_by_asking(job: Job, model: Place, examples: Sequence[Example]) -> Facts:
    """Label by a causal student in the engines of a teacher; what is not legal then, torch writes again."""
    resources = _labelling_resources(job)
    asked = PromptedStudent.of(model, resources)
    asking = ask(asked, examples, AnswerBook(job.place / "answers"), ProgressWriter(job.place, len(examples)))
    labels = {label.id: replace(label, labeller=job.key) for label in asking.labels}
    again = [example for example in examples if labels[example.id].outcome is not Outcome.OK]
    if again and asked.config.constrain != "none":
        source = StudentLabeller(model, Generation())
        with own_pool(resources) as pool:
            mended, _ = label_in_pool(pool, source, again, job.key, job.place, resources.chunk)
        labels |= {label.id: label for label in mended}
    return {**asking.facts, "illegal": len(again), **_write_labels(job, list(labels.values()))}


def _label(job: Job, source: LabellerSource, examples: Sequence[Example]) -> Facts:
    resources = _labelling_resources(job)
    labels, engines = job.means.label(source, examples, job.key, job.place, resources.chunk)
    return {**_write_labels(job, labels), "engines": engines}


def _labelling_resources(job: Job) -> LabellingResources:
    return LabellingResources.model_validate({key: job.options[key] for key in LabellingResources.model_fields})


def merge_labels(job: Job) -> Facts:
    """One table of the whole pool from those of several students; where they answer the same input, by consensus."""
    answers: dict[str, list[Label]] = {}
    for role in sorted(role for role in job.inputs if role.startswith("labels-")):
        for label in read_rows((job.inputs[role] / LABELS).here(), Label):
            answers.setdefault(label.id, []).append(label)
    return _write_labels(job, [_agreed(job, example, answers[example.id]) for example in job.examples("pool")])


def _agreed(job: Job, example: Example, labels: Sequence[Label]) -> Label:
    """The label that agrees best with the others, or one that is put together from what most of them hold."""
    task = TASKS[job.settings["task"]]
    labels = sorted(labels, key=lambda label: -label.confidence)
    usable = [label for label in labels if label.outcome.usable]
    if len(usable) < 2:
        return (usable or labels)[0]
    targets = [label.target for label in usable]
    if job.settings.get("consensus") != "parts":
        return usable[task.consensus(targets, example)]
    confidence = statistics.fmean(label.confidence for label in usable)
    return Label(example.id, task.combined(targets, example), "", Outcome.OK, confidence, labeller=job.key)


def _write_labels(job: Job, labels: Sequence[Label]) -> Facts:
    write_rows(job.folder / LABELS, Label, labels)
    failed = [f"{label.id}: {label.reason}" for label in labels if label.outcome is Outcome.FAILED]
    return {"rows": len(labels), "outcomes": outcome_counts(labels), "first_failed": failed[:NAMED]}


def evaluate_labels(job: Job) -> Facts:
    """Score a label table against gold. Pool rows without gold are left out."""
    split = job.settings["split"]
    gold = _gold(job, split)
    examples = [example for example in job.examples(split) if split != "pool" or example.id in gold]
    if not examples:
        write_json(job.folder / "evaluation.json", None)
        return {"count": 0}
    labels = read_rows((job.inputs["labels"] / LABELS).here(), Label)
    wanted = {example.id for example in examples}
    evaluation = evaluate(
        TASKS[job.settings["task"]], examples, gold, [label for label in labels if label.id in wanted]
    )
    write_json(job.folder / "evaluation.json", asdict(evaluation))
    return {"scores": evaluation.scores, "count": evaluation.count, "coverage": evaluation.coverage}


def _gold(job: Job, split: str) -> dict[str, str]:
    if split == "labelled":
        return {
            row.id: row.target for row in read_rows((job.inputs["corpus"] / "labelled.parquet").here(), TrainingRow)
        }
    return {row.id: row.target for row in read_rows((job.inputs["gold"] / f"{split}.parquet").here(), Gold)}


WORK: Mapping[Kind, Callable[[Job], Facts]] = {
    "corpus": write_corpus,
    "gold": write_gold,
    "train": train_student,
    "label": label_by_teacher,
    "relabel": relabel_by_student,
    "merge": merge_labels,
    "evaluate": evaluate_labels,
}
