"""Steps without Ray: the whole method in this process, with its options."""

from pathlib import Path
from typing import Any

import pytest

from mckd_ray.config import ExperimentConfig
from mckd_ray.plan.steps import Graph, Step
from mckd_ray.plan.store import Store
from mckd_ray.records import Label, read_rows
from mckd_ray.runner.perform import perform_here
from mckd_ray.runner.reports import Report
from mckd_ray.runner.results import result_of
from mckd_ray.runner.run import graph_of
from tests.running import TINY


def config(**plan: Any) -> ExperimentConfig:
    student = {**TINY["student"], "intermediate": {"steps": 10}, "training": {"steps": 10, "batch_size": 8}}
    return ExperimentConfig.model_validate({**TINY, "student": student, "plan": {**TINY["plan"], **plan}, "name": "x"})


class Done:
    """An experiment that has been done in this process."""

    def __init__(self, store: Store, **plan: Any) -> None:
        self.config, self.store = config(**plan), store
        self.graph: Graph = graph_of(self.config)
        self.seen: list[tuple[str, str]] = []
        self.reports = perform_here(self.graph.steps, store, self._watch)
        self.result = result_of(self.config, self.graph, store, self.reports)

    def _watch(self, step: Step, report: Report) -> None:
        self.seen.append((step.name, report.state))

    def labels(self, name: str) -> list[Label]:
        (step,) = [step for step in self.graph.steps if step.name.startswith(name)]
        return read_rows(self.store.folder(step.key) / "labels.parquet", Label)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


def test_a_whole_experiment_without_ray(store: Store) -> None:
    done = Done(store, stopping="budget", mix="cross+self")
    assert {state for _, state in done.seen} == {"done"}
    assert set(done.result["systems"]) == {"teacher", "kd", "mckd-2"}
    assert not done.result["failed"]
    stopping = done.result["stopping"]["mckd"]
    assert set(stopping["scores"]) == {"kd", "mckd-2"}
    best = max(stopping["scores"], key=lambda name: stopping["scores"][name])
    assert {"kd": 1, "mckd-2": 2}[best] == stopping["stages"]
    assert {state for _, state in Done(store, stopping="budget", mix="cross+self").seen} == {"reused"}


def test_votes_by_parts_are_one_row_an_input_by_the_merging_step(store: Store) -> None:
    """Of three students, each label is one of theirs, or one that only the merge has written."""
    done = Done(store, students=3, consensus="parts", systems=["mckd"])
    labels = done.labels("labels 1 mckd")
    assert len({label.id for label in labels}) == len(labels) == TINY["corpus"]["pool"]
    (merge,) = [step for step in done.graph.steps if step.kind == "merge"]
    assert {label.labeller for label in labels} == {merge.key}


def test_a_step_that_fails_takes_with_it_only_what_stands_on_it(tmp_path: Path) -> None:
    broken = config(systems=["sft", "kd"]).model_copy(update={"teacher": config().teacher})
    (tmp_path / "labels.jsonl").write_text("{}\n")
    teacher = broken.teacher.model_copy(update={"engine": "replay", "model": str(tmp_path / "labels.jsonl")})
    graph = graph_of(broken.model_copy(update={"teacher": teacher}))
    reports = perform_here(graph.steps, Store(tmp_path / "store"))
    states = {step.name: reports[step.digest].state for step in graph.steps}
    assert states["label by the teacher"] == "failed"
    assert states["train kd seed 1"] == "skipped"
    assert states["train sft seed 1"] == "done"


def test_a_student_that_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    experiment = config(stages=1, systems=["sft"])
    named = experiment.model_copy(
        update={"student": experiment.student.model_copy(update={"model": str(tmp_path / "empty")})}
    )
    reports = perform_here(graph_of(named).steps, Store(tmp_path / "store"))
    (failure,) = [report for report in reports.values() if report.state == "failed"]
    assert failure.message.startswith(f"'{tmp_path / 'empty'}' can't be loaded as a tagger: ")
    assert failure.exit_status == 2
