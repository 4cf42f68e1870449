"""Training curves: TensorBoard's files beside each student, and other trackers where they are asked for."""

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import ray
from ray import tune
from tensorboardX.proto.event_pb2 import Event

from mckd_ray.config import ScratchConfig, StudentConfig, TrackingConfig, TrainingConfig
from mckd_ray.errors import ConfigError
from mckd_ray.runner.session import connect
from mckd_ray.student.base import TrainingJob
from mckd_ray.student.tracking import check_trackers, curves
from mckd_ray.student.train import train
from mckd_ray.sweep.trackers import loggers
from tests.students import TREES, make_job, rows_of, same

STEPS = 6


def job_of(folder: Path, **changes: Any) -> TrainingJob:
    config = StudentConfig(scratch=ScratchConfig(width=16, layers=1, heads=2, vocabulary=100))
    training = TrainingConfig(steps=STEPS, batch_size=2)
    return make_job(folder, "constituency", config, rows_of(TREES), training, name="demo train kd seed 1", **changes)


def losses_in(folder: Path) -> dict[int, float]:
    """The curve of the training loss in TensorBoard's files, by optimiser step."""
    found: dict[int, float] = {}
    for path in folder.iterdir():
        for event in events(path.read_bytes()):
            losses = [value.simple_value for value in event.summary.value if value.tag == "train/loss"]
            found.update((event.step, loss) for loss in losses)
    return found


def events(data: bytes) -> Iterator[Event]:
    """The records of a file: a length of 8 bytes with its checksum, an event, a checksum."""
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        yield Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]


def keep_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trackers write below `folder`, and to no server."""
    for name in ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME"):  # What is set in the test is unset after it.
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{folder / 'mlruns'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")


def test_each_student_leaves_a_curve_for_tensorboard(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    facts = train(job, tmp_path / "model", lambda steps, note: None)
    assert curves(job) == tmp_path / "tensorboard" / "demo-train-kd-seed-1"
    told = losses_in(curves(job))
    assert told.keys() == set(range(1, STEPS + 1))
    assert list(told.values()) == pytest.approx([loss for _, loss in facts["losses"]], abs=1e-4)


def test_only_the_chief_of_several_workers_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.Trainer.is_world_process_zero", lambda trainer: False)
    job = job_of(tmp_path)
    train(job, None, lambda steps, note: None)
    assert not curves(job).exists()


def runs_of(experiment: str) -> list[Any]:
    """Those that MLflow has."""
    import mlflow

    return list(mlflow.search_runs(experiment_names=[experiment], output_format="list"))


@pytest.mark.parametrize("tracker", ["wandb", "mlflow"])
def test_another_tracker_gets_a_run_for_each_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: Literal["wandb", "mlflow"]
) -> None:
    """Two students of one process, as in a Ray Train run; what they learn is what they learn without."""
    pytest.importorskip(tracker)
    keep_here(tmp_path, monkeypatch)
    tracking = TrackingConfig(to=(tracker,), project="parsers")
    check_trackers(tracking)
    job = job_of(tmp_path, tracking=tracking)
    for name in ("first", "second"):
        train(replace(job, name=name, work=tmp_path / f"{name}-work"), tmp_path / name, lambda steps, note: None)
    if tracker == "mlflow":
        runs = runs_of("parsers")
        assert {run.info.run_name for run in runs} == {"first", "second"}
        assert all(run.data.metrics["loss"] > 0 for run in runs)
    else:
        assert len(list(tmp_path.glob("wandb/offline-run-*/*.wandb"))) == 2
    train(replace(job, tracking=TrackingConfig()), tmp_path / "without", lambda steps, note: None)
    assert same(tmp_path / "first", tmp_path / "without")


def test_what_cannot_be_tracked_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"tracking.to names mlflow, which is not installed here; pip install"):
        check_trackers(TrackingConfig(to=("mlflow",)))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: "there")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with pytest.raises(ConfigError, match="WANDB_API_KEY is not set"):
        check_trackers(TrackingConfig(to=("wandb",)))


def _trial(values: dict[str, Any]) -> None:
    for stage in (1, 2):
        tune.report({"score": values["x"] * stage})


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize("tracker", ["wandb", "mlflow"])
def test_a_tracker_gets_a_run_for_each_trial_of_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: Literal["wandb", "mlflow"]
) -> None:
    pytest.importorskip(tracker)
    keep_here(tmp_path, monkeypatch)
    connect(address=None, num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        run = tune.RunConfig(storage_path=str(tmp_path), callbacks=loggers(TrackingConfig(to=(tracker,), project="p")))
        tune.Tuner(_trial, param_space={"x": tune.grid_search([1, 2])}, run_config=run).fit()
    finally:
        ray.shutdown()
    if tracker == "mlflow":
        assert {run.data.metrics["score"] for run in runs_of("p")} == {2, 4}
    else:
        assert len(list(tmp_path.rglob("offline-run-*/*.wandb"))) == 2
