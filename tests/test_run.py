"""The whole method on Ray: a small experiment from its config to its table."""

import json
from pathlib import Path

import pytest

from tests.running import TINY, Experiment

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """An experiment with two stages that has run once."""
    experiment = Experiment(tmp_path_factory.mktemp("run"), TINY)
    process = experiment.start()
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    assert "(raylet)" not in output, "Ray speaks to the user"
    return experiment


def test_a_run_scores_every_system(finished: Experiment) -> None:
    result = finished.result()
    assert set(result["systems"]) == {"teacher", "kd", "mckd-2"}
    assert result["primary"] == "unlabelled_f1"
    for system in result["systems"].values():
        assert system["count"] == 30
        assert system["coverage"] == 1.0
        assert 0 < system["unlabelled_f1"]["mean"] < 100
    assert {"ray", "torch"} <= set(result["versions"])


def test_every_input_has_one_row_in_every_table(finished: Experiment) -> None:
    from mckd_ray.records import Example, Label, read_rows

    steps = finished.folder / "runs" / "steps"
    (corpus,) = steps.glob("corpus-*")
    pool = [example.id for example in read_rows(corpus / "pool.parquet", Example)]
    assert len(pool) == 120
    (merged,) = steps.glob("merge-*")
    assert [label.id for label in read_rows(merged / "labels.parquet", Label)] == pool


def test_both_students_of_a_stage_are_under_way_at_the_same_time(finished: Experiment) -> None:
    spans = [
        (record["started"], record["ended"])
        for record in finished.records().values()
        if record["kind"] == "train" and "stage 1" in record["name"]
    ]
    assert len(spans) == 2
    assert max(start for start, _ in spans) < min(end for _, end in spans)


def test_three_stages_after_two_do_only_what_is_new(finished: Experiment) -> None:
    before = finished.records()
    result = finished.run("plan.stages=3")
    fresh = {step["name"] for step in result["steps"] if step["kind"] == "train" and not step["reused"]}
    assert fresh == {"train mckd stage 2 A seed 1", "train mckd stage 2 B seed 1", "train mckd-3 seed 1"}
    after = finished.records()
    assert {key: after[key] for key in before} == before


def test_a_finished_run_is_reused_whole(finished: Experiment) -> None:
    finished.run("plan.stages=3")
    result = finished.run("plan.stages=3")
    assert all(step["reused"] for step in result["steps"])


def test_status_is_read_from_the_store(finished: Experiment) -> None:
    from mckd_ray.report.status import status
    from mckd_ray.storage import place_at

    now = status(place_at(finished.folder / "runs" / "tiny"))
    assert {step["state"] for step in now["steps"]} == {"done"}


def test_a_training_step_keeps_its_learning_curve(finished: Experiment) -> None:
    curves = [record["facts"]["losses"] for record in finished.records().values() if record["kind"] == "train"]
    for curve in curves:
        steps = [step for step, _ in curve]
        assert steps == sorted(set(steps))
        assert curve[-1][1] < curve[0][1], "students learn"


def test_the_report_of_a_run(finished: Experiment) -> None:
    from mckd_ray.cli import main

    folder = finished.folder / "runs" / "tiny"
    assert main(["report", str(folder)]) == 0
    score = finished.result()["systems"]["kd"]["unlabelled_f1"]["mean"]
    assert f"{score:.1f}" in (folder / "report.html").read_text()


def test_a_failed_step_is_named_and_what_does_not_need_it_is_done(tmp_path: Path) -> None:
    """A teacher that has no labels for any input: its students cannot train, but the base student is scored."""
    (tmp_path / "labels.jsonl").write_text(json.dumps({"id": "nobody", "tree": "(X (X a))"}) + "\n")
    experiment = Experiment(tmp_path, {**TINY, "teacher": {"engine": "replay", "model": "labels.jsonl"}})
    process = experiment.start("plan.systems=[teacher,sft,kd]", "plan.stages=1")
    output, _ = process.communicate(timeout=900)
    result = experiment.result()
    assert process.returncode == 2, output
    assert set(result["systems"]) == {"teacher", "sft"}
    assert result["systems"]["teacher"]["coverage"] == 0
    assert [failure["name"] for failure in result["failed"]] == ["train kd seed 1"]
    assert "no usable row" in output
    assert "Traceback" not in output


def test_a_cluster_that_is_too_small_is_one_sentence(tmp_path: Path) -> None:
    experiment = Experiment(tmp_path, TINY)
    process = experiment.start("resources.student.workers=8", "resources.student.cpus=100")
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 2, output
    assert "mckd: the run wants 8 workers of a training step (resources.student), each with 100 CPUs" in output
    assert "Traceback" not in output
