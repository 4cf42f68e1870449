"""Training curves: TensorBoard's files beside each student, and other trackers where they are asked for."""

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from tensorboardX.proto.event_pb2 import Event

from mckd_ray.config import ScratchConfig, StudentConfig, TrackingConfig, TrainingConfig
from mckd_ray.errors import ConfigError
from mckd_ray.student.base import TrainingJob
from mckd_ray.student.tracking import check_trackers, curves
from mckd_ray.student.train import train
from tests.students import TREES, make_job, rows_of, same

STEPS = 6


def job_of(folder: Path, **changes: Any) -> TrainingJob:
    config = StudentConfig(scratch=ScratchConfig(width=16, layers=1, heads=2, vocabulary=100))
    training = TrainingConfig(steps=STEPS, batch_size=2)
    return make_job(folder, "constituency", config, rows_of(TREES), training, name="demo train kd seed 1", **changes)


def losses_in(folder: Path) -> dict[int, float]:
    """The curve of the training loss in TensorBoard's files, by optimiser step."""
    found = {}
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


@pytest.mark.parametrize("tracker", ["wandb", "mlflow"])
def test_another_tracker_gets_a_run_for_each_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: Literal["wandb", "mlflow"]
) -> None:
    """Two students of one process, as in a Ray Train run; what they learn is what they learn without."""
    pytest.importorskip(tracker)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_PROJECT", "")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    tracking = TrackingConfig(to=(tracker,), project="parsers")
    check_trackers(tracking)
    job = job_of(tmp_path, tracking=tracking)
    for name in ("first", "second"):
        train(replace(job, name=name, work=tmp_path / f"{name}-work"), tmp_path / name, lambda steps, note: None)
    if tracker == "mlflow":
        import mlflow

        runs = mlflow.search_runs(experiment_names=["parsers"], output_format="list")
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
