"""The Ray Train runs of a session: each trains one student after another, so that a start is paid for by many.

A Ray Train run is half a dozen processes, each of which first imports what it needs; that costs more than a small
student's training. So a run's workers ask for the next student when one is done. A run that finds nothing to train
waits for a while, or not at all if it holds GPUs, and ends.
"""

import asyncio
import contextlib
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.actor import ActorHandle

from mckd_ray.config import ResourcesConfig, StudentResources
from mckd_ray.errors import ResourceError, StepError
from mckd_ray.runner.placement import room_for_training, worker_resources
from mckd_ray.runner.session import all_nodes
from mckd_ray.runner.training import work
from mckd_ray.storage.root import Place
from mckd_ray.student.base import TrainingJob

MOST_WORKER_DEATHS = 3
"""How often the workers of one run, or of one student, are started anew from the last checkpoint."""
IDLE_S = 30.0
"""How long a run without GPUs waits for another student: about what a stage takes to relabel, or a start takes."""
_TOO_SMALL = (
    "the student does not fit into the memory of its {workers} workers, even with one row at a time in each; choose "
    "nodes with more memory (resources.student), a smaller student.model, or shorter student.max_source and max_target."
)
MOST_CALLS = 100_000
"""Each student that waits for its turn is a call that waits."""
MOST_RUNS = 1000
"""Each is a thread of the actor."""


@dataclass
class _Student:
    """A student to be trained into `place`; `trained` ends when it is, or with what went wrong for good."""

    job: TrainingJob
    place: Place
    resources: StudentResources
    attempts: int = 0
    trained: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass
class _Run:
    """A Ray Train run; `student` is what it trains now."""

    resources: StudentResources
    student: _Student | None = None


class TrainingRuns:
    """Gives students to Ray Train runs, which it starts when there are too few. An actor: all of it is one thread."""

    def __init__(self, resources: ResourcesConfig, idle_s: float = IDLE_S) -> None:
        """No run yet; those without GPUs will wait `idle_s` seconds for another student."""
        self._resources, self._idle_s = resources, idle_s
        self._queues: dict[str, asyncio.Queue[_Student | None]] = defaultdict(asyncio.Queue)
        self._students: dict[Place, _Student] = {}
        self._runs: dict[str, _Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(MOST_RUNS)

    async def train(self, job: TrainingJob, place: Place, resources: StudentResources) -> None:
        """Return when the facts of `job` are at `place`. Raises what ended the last run that tried to train it.

        Asked again while it is at it (by a step whose first process died), it answers both.
        """
        wanted = self._students.get(place)
        if wanted is None:
            wanted = self._students[place] = _Student(job, place, resources)
            wanted.trained.add_done_callback(lambda _: self._students.pop(place))
            self._waiting(resources).put_nowait(wanted)
            self._start_runs(resources)
        await asyncio.shield(wanted.trained)

    async def go_on(self, name: str, finished: Place | None) -> bool:
        """Whether the run `name`, which has `finished` a student, has another one to train, after waiting for one.

        A run that asks while it has one that it has not finished was started anew: it gets that one again.
        """
        run = self._runs[name]
        if run.student and run.student.place == finished:
            run.student.trained.set_result(None)
            run.student = None
        if run.student is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0 if run.resources.gpus else self._idle_s):
                    run.student = await self._waiting(run.resources).get()
        if run.student:
            run.student.attempts += 1
        return run.student is not None

    async def current(self, name: str) -> tuple[TrainingJob, Place]:
        """What the run `name` has to train, and where to."""
        now = self._runs[name].student
        if now is None:
            raise StepError(f"the training run {name} has nothing to train")
        return now.job, now.place

    async def out_of_memory(self, name: str, accumulate: int) -> None:
        """The student of the run `name` found no memory for a batch in so many parts: it will get smaller ones.

        What other workers of the run say of the same attempt changes nothing. Where a part is one row already, that
        ends the student.
        """
        student = self._runs[name].student
        if student is None or student.job.accumulate != accumulate:
            return
        finer = student.job.finer
        if finer is None:
            student.trained.set_exception(ResourceError(_TOO_SMALL.format(workers=student.job.workers)))
            self._runs[name].student = None
        else:
            student.job, student.attempts = replace(student.job, accumulate=finer), 0

    async def end(self) -> None:
        """Return when all runs have ended; there are no more students."""
        for run in self._runs.values():
            self._waiting(run.resources).put_nowait(None)
        await asyncio.gather(*self._tasks)

    def _waiting(self, resources: StudentResources) -> "asyncio.Queue[_Student | None]":
        """The students that wait for a run with these resources; None has a run end."""
        return self._queues[resources.model_dump_json()]

    def _start_runs(self, resources: StudentResources) -> None:
        """A run for each student that waits, less those that are free, as far as the cluster has room."""
        runs = [run for run in self._runs.values() if run.resources == resources]
        free = sum(run.student is None for run in runs)
        room = max(1, room_for_training(resources, all_nodes(self._resources)))
        for _ in range(min(self._waiting(resources).qsize() - free, room - len(runs))):
            # A name of its own: Ray Train would silently take an equal one for the same run, finished or not.
            name = f"mckd-{time.time_ns()}"
            self._runs[name] = _Run(resources)
            task = asyncio.create_task(self._run(name, resources))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, name: str, resources: StudentResources) -> None:
        """A run from its start to its end; what it left behind, another one gets, unless that has failed too often."""
        here, error = ray.get_runtime_context().current_actor, None
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, _fit, here, name, resources)
        except Exception as raised:  # Whatever ends a run, it ends at most the student that the run had.
            error = raised
        left, waiting = self._runs.pop(name).student, self._waiting(resources)
        if error and left is None and not waiting.empty() and (left := waiting.get_nowait()):
            left.attempts += 1  # It has waited for this run in vain.
        if left and left.attempts > MOST_WORKER_DEATHS:
            left.trained.set_exception(error or StepError(f"the training run {name} ended before its student was done"))
        elif left:
            waiting.put_nowait(left)
        self._start_runs(resources)


def start_training_runs(resources: ResourcesConfig, idle_s: float = IDLE_S) -> ActorHandle[Any]:
    """The actor `TrainingRuns`. If its process dies, Ray starts it anew, and asks it for all that was asked before."""
    remote: Any = ray.remote(TrainingRuns)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "max_concurrency": MOST_CALLS}
    runs: ActorHandle[Any] = remote.options(**options).remote(resources, idle_s)
    return runs


def _fit(runs: ActorHandle[Any], name: str, resources: StudentResources) -> None:
    """One Ray Train run of W data-parallel workers."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    with tempfile.TemporaryDirectory(prefix="mckd-train-") as folder:
        trainer = TorchTrainer(
            work,
            train_loop_config={"runs": runs, "name": name, "threads": max(1, int(resources.cpus))},
            torch_config=TorchConfig(backend="nccl" if resources.gpus else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=resources.workers,
                use_gpu=resources.gpus > 0,
                resources_per_worker=worker_resources(resources),
                accelerator_type=resources.accelerator_type,
                label_selector=dict(resources.labels) or None,  # type: ignore[call-arg]
            ),
            run_config=RunConfig(
                name=name, storage_path=folder, failure_config=FailureConfig(max_failures=MOST_WORKER_DEATHS)
            ),
        )
        trainer.fit()
