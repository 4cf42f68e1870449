"""A student whose node is lost while it trains goes on on another one, from what the bucket has."""

from pathlib import Path

import pytest

from mckd_ray.config import ScratchConfig, StudentConfig, TrainingConfig
from mckd_ray.runner.training import keeper
from mckd_ray.storage.bucket import Bucket
from mckd_ray.storage.root import Place
from mckd_ray.student.base import TrainingJob
from mckd_ray.student.train import COMPLETE, last_checkpoint, train
from tests import bucket
from tests.students import TREES, make_job, rows_of, same

STEPS = 8


class LostError(Exception):
    """The node is gone."""


def job_in(folder: Path) -> TrainingJob:
    config = StudentConfig(scratch=ScratchConfig(width=32, layers=1, heads=2, vocabulary=200))
    training = TrainingConfig(steps=STEPS, batch_size=2, learning_rate=5e-3)
    return make_job(folder, "constituency", config, rows_of(TREES), training)


def test_a_student_goes_on_on_another_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit as if undisturbed, though nothing of the first node is left but what it has kept."""
    port = bucket.free_port()
    for name, value in bucket.environment(port).items():
        monkeypatch.setenv(name, value)
    calm = job_in(tmp_path / "calm")
    train(calm, tmp_path / "calm" / "model", lambda steps, note: None)

    def until_lost(steps: int, note: str) -> None:
        if steps == STEPS - 1:
            raise LostError

    with bucket.server(port):
        one, two = (Place(Bucket(f"s3://{bucket.NAME}/runs", tmp_path / name), "steps/x") for name in ("one", "two"))
        job = job_in(one.path)
        one.keep()
        with pytest.raises(LostError):
            train(job, one.path / "model", until_lost, keeper(job, one, chief=True))
        half = job.work / f"checkpoint-{STEPS}"
        half.mkdir()
        (half / "model.safetensors").write_bytes(b"half")
        one.root.keep(half)

        job = job.at(one.root.relative).at(two.root.here)
        begun: list[int] = []
        kept = {path.name for path in job.work.iterdir()}
        assert kept == {f"checkpoint-{STEPS - 2}", half.name}, "what was complete before is not kept for ever"
        assert not (job.work / half.name / COMPLETE).exists()
        train(job, two.path / "model", lambda steps, note: begun.append(steps), keeper(job, two, chief=True))
        assert begun == [STEPS - 1, STEPS]
        assert same(two.path / "model", tmp_path / "calm" / "model")
        assert last_checkpoint(one.root.here(one.below + "/work")) == str(half)
