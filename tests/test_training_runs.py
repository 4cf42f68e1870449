"""Training runs whose workers run out of memory: the batch is split more finely, and the record says so."""

import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle

from mckd_ray import student
from mckd_ray.config import ResourcesConfig, ScratchConfig, StudentConfig, StudentResources, TrainingConfig
from mckd_ray.errors import ResourceError
from mckd_ray.records import Outcome
from mckd_ray.runner.reports import root_cause
from mckd_ray.runner.session import WORKER_ENVIRONMENT, connect
from mckd_ray.runner.training import train
from mckd_ray.runner.training_runs import start_training_runs
from mckd_ray.storage import place_at
from mckd_ray.storage.root import Place
from mckd_ray.student.base import TrainingJob
from tests.students import TREES, examples_of, make_job, rows_of

ROOM = 450 * 2**20
"""Bytes that a process may take once it trains: too few for the batch of the test, or for the huge student."""


@pytest.mark.parametrize(("batch", "workers", "splits"), [(8, 1, [1, 2, 4, 8]), (24, 2, [1, 2, 4, 12]), (7, 1, [1, 7])])
def test_a_batch_is_split_until_a_part_is_one_row(tmp_path: Path, batch: int, workers: int, splits: list[int]) -> None:
    def job(accumulate: int) -> TrainingJob:
        training = TrainingConfig(batch_size=batch)
        config = StudentConfig()
        return make_job(tmp_path, "constituency", config, [], training, workers=workers, accumulate=accumulate)

    assert [job(split).finer for split in splits] == [*splits[1:], None]


def limit_memory() -> None:
    """Run in each worker process: when one has a student ready to be trained, the system gives it ROOM and no more."""
    from mckd_ray.runner import training

    unlimited = training._train

    def limited(job: TrainingJob, place: Place, chief: bool) -> None:
        from mckd_ray.student import train as module

        find = module.last_checkpoint

        def find_and_limit(work: Path) -> str | None:
            status = Path("/proc/self/status").read_text().splitlines()
            (data,) = (int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
            resource.setrlimit(resource.RLIMIT_DATA, (data + ROOM, data + ROOM))
            return find(work)

        module.last_checkpoint = find_and_limit
        try:
            unlimited(job, place, chief)
        finally:
            module.last_checkpoint = find

    training._train = limited


@pytest.fixture
def runs() -> Iterator[Any]:
    """The actor that has students trained, by workers that are short of memory."""
    # Ray's processes do not find this file.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]
    hook = {"worker_process_setup_hook": limit_memory, "env_vars": WORKER_ENVIRONMENT}
    connect(address=None, num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=hook)
    started: Any = start_training_runs(ResourcesConfig())
    yield started
    ray.wait([started.end.remote()], timeout=60)
    ray.shutdown()


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_student_that_runs_out_of_memory_gets_half_the_batch(runs: Any, tmp_path: Path) -> None:
    def job(name: str, width: int, batch: int) -> TrainingJob:
        folder = tmp_path / name
        scratch = ScratchConfig(width=width, layers=1, heads=2, vocabulary=100)
        training = TrainingConfig(steps=2, batch_size=batch)
        return make_job(folder, "constituency", StudentConfig(scratch=scratch), rows_of(TREES), training)

    with pytest.raises(Exception, match="does not fit into the memory of its 1 workers") as raised:
        train(job("huge", 2048, 1), place_at(tmp_path / "huge"), StudentResources(), runs)
    assert isinstance(root_cause(raised.value), ResourceError)

    facts = train(job("wide", 256, 4096), place_at(tmp_path / "wide"), StudentResources(), runs)
    assert facts["accumulate"] in (2, 4, 8)
    assert facts["out_of_memory"] == f"with accumulate=1; trained with {facts['accumulate']}"
    assert facts["optimiser_steps"] == 2
    labels = student.load(tmp_path / "wide" / "model").label(examples_of(TREES))
    assert all(label.outcome is Outcome.OK for label in labels)
