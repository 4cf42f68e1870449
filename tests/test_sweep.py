"""The sweep on Ray: two drivers on one store, then schedulers and searchers over what the store has already."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from ray.cluster_utils import Cluster

from mckd_ray.config_file import read_config
from mckd_ray.sweep.sweep import planned
from mckd_ray.sweep.trials import distinct_steps
from tests.running import TINY_TAGGER, Experiment, processes_below, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400)]

STAGES, NOISE = "plan.stages", "teacher.noise"
SPACE = {STAGES: [1, 2], NOISE: [0.0, 1.0]}
CONFIG: dict[str, Any] = {
    "name": "first",
    "task": {"kind": "constituency"},
    "corpus": {"format": "builtin", "labelled": 10, "pool": 60, "dev": 30, "test": 10},
    "teacher": {"engine": "simulated", "model": "labels.jsonl"},
    "student": {**TINY_TAGGER, "training": {"steps": 60, "batch_size": 8, "learning_rate": 5e-3}},
    "plan": {"systems": ["kd", "mckd"]},
    "search": {"space": SPACE},
}


def sweep(experiment: Experiment, *overrides: str, options: str = "") -> "subprocess.Popen[str]":
    return experiment.start(*overrides, command=f"sweep {options}")


def ended(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=2000)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    return output


def result(experiment: Experiment, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((experiment.folder / "runs" / name / "sweep" / "sweep.json").read_text())
    return found


def scores(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(row[STAGES], row[NOISE], row["state"], row["score"]) for row in found["trials"]]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """The same sweep by two drivers, under two names, at the same time, on one store."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "labels.jsonl").write_text(json.dumps({"id": "nobody", "tree": "(X (X a))"}) + "\n")
    experiment = Experiment(folder, CONFIG)
    both = [sweep(experiment), sweep(experiment, "name=second")]
    for process in both:
        ended(process)
    return experiment


def test_two_drivers_run_each_distinct_step_once_in_all(swept: Experiment) -> None:
    steps = distinct_steps(planned(read_config(swept.folder / "tiny.yaml")).trials)
    assert result(swept, "first")["executed"] + result(swept, "second")["executed"] == len(steps)
    assert len(swept.records()) == len(steps)


def test_both_have_the_same_table(swept: Experiment) -> None:
    first, second = (result(swept, name) for name in ("first", "second"))
    assert scores(first) == scores(second)
    assert {row["state"] for row in first["trials"]} == {"finished"}
    assert sorted(row["rank"] for row in first["trials"]) == [1, 2, 3, 4]


def test_a_teacher_without_noise_is_better(swept: Experiment) -> None:
    found = result(swept, "first")
    best = found["trials"][found["best"] - 1]
    assert best[NOISE] == 0
    assert 0 < best["score"] <= 100


def test_the_files_of_a_sweep(swept: Experiment) -> None:
    folder = swept.folder / "runs" / "first" / "sweep"
    rows = pq.read_table(folder / "sweep.parquet").to_pylist()
    assert [row[STAGES] for row in rows] == [1, 2, 1, 2]
    assert rows[1]["steps_reused"] == rows[0]["steps"], "two stages go on from one"
    assert any(row["pareto"] for row in rows)
    for name in ("heat-map", "stages", "cost"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_config_runs_as_it_is_and_goes_on_from_the_sweep(swept: Experiment) -> None:
    found = result(swept, "first")
    path = swept.folder / "runs" / "first" / "sweep" / "best.yaml"
    config = read_config(path)
    best = found["trials"][found["best"] - 1]
    assert (config.plan.stages, config.teacher.noise) == (best[STAGES], best[NOISE])
    experiment = Experiment(swept.folder, yaml.safe_load(path.read_text()))
    ended(experiment.start())
    made = json.loads((swept.folder / "runs" / "first-best" / "result.json").read_text())
    assert all(step["reused"] for step in made["steps"] if step["kind"] == "train")
    system = "kd" if best[STAGES] == 1 else f"mckd-{best[STAGES]}"
    assert made["splits"]["dev"][system][found["objective"]]["mean"] == best["score"]
    assert made["systems"][system]["count"] == 10, "on test"


def test_asha_stops_the_worse_chain_and_finds_the_same_best(swept: Experiment) -> None:
    ended(sweep(swept, "name=asha", "search.scheduler=asha", "search.concurrent=1"))
    found, grid = result(swept, "asha"), result(swept, "first")
    assert found["executed"] == 0, "all was in the store"
    stopped = [row for row in found["trials"] if row["state"] == "stopped"]
    assert [(row[STAGES], row[NOISE], row["stage"]) for row in stopped] == [(2, 1.0, 1)]
    assert "asha" in stopped[0]["reason"]
    assert scores(found)[found["best"] - 1] == scores(grid)[grid["best"] - 1]


def test_a_trial_that_fails_is_a_row_with_its_reason(swept: Experiment) -> None:
    """A teacher that has no label for any input, found by optuna beside one that has."""
    space = "search.space={teacher.engine: [simulated, replay]}"
    output = ended(
        sweep(
            swept, "name=some", space, "search.algorithm=optuna", "search.samples=6", "teacher.noise=0", "plan.stages=1"
        )
    )
    rows = result(swept, "some")["trials"]
    assert {(row["teacher.engine"], row["state"]) for row in rows} == {("simulated", "finished"), ("replay", "failed")}
    failed = next(row for row in rows if row["state"] == "failed")
    assert (
        failed["reason"]
        == "train kd seed 1: " + "there is no usable row to train on: every label failed or could not be parsed."
    )
    assert "no usable row" in output


SECOND_STAGE = ("train mckd-2", "label dev by mckd-2", "evaluate mckd-2")


def without(experiment: Experiment, folder: Path, names: tuple[str, ...]) -> Experiment:
    """A copy of `experiment` whose store lacks the steps with these beginnings of their names."""
    steps = experiment.folder / "runs" / "steps"
    shutil.copytree(steps, folder / "runs" / "steps")
    for key, record in experiment.records().items():
        if record["name"].startswith(names):
            shutil.rmtree(folder / "runs" / "steps" / key)
    return Experiment(folder, CONFIG)


def check_same(disturbed: Experiment, swept: Experiment, finished: dict[str, Any]) -> None:
    """The table is that of the undisturbed sweep, and no step that was `finished` before a fault was run again."""
    after = disturbed.records()
    assert {key: after[key] for key in finished} == finished
    assert scores(result(disturbed, "first")) == scores(result(swept, "first"))


@pytest.mark.slow
def test_after_kills_of_workers_and_of_the_driver_the_sweep_is_resumed(swept: Experiment, tmp_path: Path) -> None:
    """First the process of a trial, then that of a training worker, then the driver."""
    experiment = without(swept, tmp_path, SECOND_STAGE)
    kept = experiment.records()
    process = sweep(experiment)
    for title in ("ray::ImplicitFunc", "ray::RayTrainWorker"):
        wait_for(partial(processes_below, process.pid, title), process)[0].kill()
    wait_for(lambda: experiment.records().keys() - kept.keys(), process)
    os.kill(process.pid, signal.SIGKILL)
    finished = experiment.records()
    process.communicate()
    ended(sweep(experiment, options="--resume"))
    check_same(experiment, swept, finished)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head for the driver, and a node for all else."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=3)
        yield cluster
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


def kill_node(cluster: Cluster, node: Any) -> None:
    """End a node with all that runs on it: else its workers go on for a while, which those of a lost machine don't."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in [raylet, *raylet.children(recursive=True)]:
        process.kill()
    cluster.remove_node(node, allow_graceful=False)


@pytest.mark.slow
def test_after_the_node_of_all_trials_died_the_sweep_is_resumed(
    swept: Experiment, cluster: Cluster, tmp_path: Path
) -> None:
    """What hangs on a cluster that lost its node (Ray's own scheduling may) is killed, and resumed elsewhere."""
    experiment = without(swept, tmp_path, SECOND_STAGE)
    elsewhere = dict(experiment.environment)
    experiment.environment["RAY_ADDRESS"] = cluster.address
    process = sweep(experiment)
    (node,) = cluster.worker_nodes
    raylet = node.all_processes["raylet"][0].process.pid
    wait_for(lambda: processes_below(raylet, "ray::RayTrainWorker"), process)
    assert processes_below(raylet, "ray::ImplicitFunc"), "a trial"
    finished = experiment.records()
    kill_node(cluster, node)
    process.kill()
    process.communicate()
    experiment.environment.clear()
    experiment.environment.update(elsewhere)
    ended(sweep(experiment, options="--resume"))
    check_same(experiment, swept, finished)


def test_resuming_what_never_began_is_one_sentence(tmp_path: Path) -> None:
    process = sweep(Experiment(tmp_path, CONFIG), options="--resume")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "holds no sweep to resume" in output
    assert not psutil.pid_exists(process.pid)
