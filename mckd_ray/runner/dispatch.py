"""The graph on Ray: each step is a Ray task whose arguments are the reports of the steps that it needs.

So Ray's own scheduler runs whatever is ready. A step that fails takes with it only what stands on it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError

from mckd_ray.config import ResourcesConfig
from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.runner.labelling import start_pool
from mckd_ray.runner.means import OnRay
from mckd_ray.runner.perform import perform
from mckd_ray.runner.placement import room_beside
from mckd_ray.runner.reports import Report, failed
from mckd_ray.runner.session import TRAINING_SLOT, all_nodes, cluster_resources
from mckd_ray.runner.training_runs import start_training_runs
from mckd_ray.teacher import PROMPTED

MOST_TASK_DEATHS = 3
"""How often Ray runs a step's task again when the process or node that ran it died."""
POLL_S = 0.3
CLOSING_S = 10.0
"""How long what is still there at the end may take to end by itself."""

Watch = Callable[[Mapping[str, Report]], None]
Pool = Sequence[ActorHandle[Any]]
Refusal = Callable[[], str]


def _no_refusal() -> str:
    return ""


def dispatch(
    steps: Sequence[Step], known: Mapping[str, Report], store: Store, resources: ResourcesConfig, watch: Watch
) -> dict[str, Report]:
    """Run `steps`, inputs before what needs them, and return the report of each by digest, with the `known` ones.

    `known` holds the reports of the steps that have happened before. `watch` is called a few times a second with the
    reports so far.
    """
    dispatcher = Dispatcher(store, resources)
    dispatcher.reports.update(known)
    dispatcher.add(steps)
    while dispatcher.busy:
        dispatcher.poll(POLL_S)
        watch(dispatcher.reports)
    dispatcher.close()
    return dispatcher.reports


class Dispatcher:
    """Steps on their way through Ray. They may come in several lots; each distinct step is given to Ray once.

    The pool of labelling actors is started when the first step needs it. As it and the engines of a prompted teacher
    may both want all GPUs, they take turns, the teacher first, unless the cluster has room for both. One teacher is
    asked at a time.
    """

    def __init__(self, store: Store, resources: ResourcesConfig, refusal: Refusal = _no_refusal) -> None:
        """Nothing to do yet. `refusal` gives the reason why an asking step may not begin, if there is one."""
        self.reports: dict[str, Report] = {}
        """How the steps that have ended did so, by digest."""
        self._store, self._resources, self._refusal = store, resources, refusal
        self._waiting: list[Step] = []
        self._running: dict[ray.ObjectRef[Any], Step] = {}
        self._references: dict[str, ray.ObjectRef[Any]] = {}
        self._pool: Pool = ()

    @cached_property
    def _slot(self) -> dict[str, int]:
        """What a training step takes beside its workers' share."""
        return {TRAINING_SLOT: 1} if TRAINING_SLOT in cluster_resources() else {}

    @cached_property
    def _beside(self) -> bool:
        """Whether the pool may be there while a teacher is asked."""
        return room_beside(self._resources, all_nodes(self._resources))

    @cached_property
    def _runs(self) -> ActorHandle[Any]:
        """The actor that has students trained; it is started with the first of them."""
        return start_training_runs(self._resources)

    @property
    def busy(self) -> bool:
        """Whether some step has not ended."""
        return bool(self._waiting or self._running)

    def add(self, steps: Sequence[Step]) -> None:
        """Have `steps` done, inputs first; those that are done, or are to be done already, are left as they are."""
        planned = {*self.reports, *self._references, *(step.digest for step in self._waiting)}
        self._waiting += [step for step in steps if step.digest not in planned]

    def poll(self, seconds: float) -> None:
        """Begin what can begin, and take in what ends within `seconds` (something, or nothing)."""
        for step in list(self._waiting):
            if self._may_begin(step):
                self._waiting.remove(step)
                self._begin(step)
        if not self._running:
            return
        ray.wait(list(self._running), timeout=seconds)
        ended, _ = ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        for reference in ended:
            digest = self._running.pop(reference).digest
            self.reports[digest] = _get(reference, digest)

    def close(self) -> None:
        """Have the training runs end. What is killed with Ray instead would complain of that to the user."""
        if "_runs" in self.__dict__:
            ray.wait([self._runs.end.remote()], timeout=CLOSING_S)

    def _may_begin(self, step: Step) -> bool:
        if any(self._argument(need) is None for need in step.inputs.values()):
            return False
        running = self._running.values()
        if is_asking(step):
            return not any(is_asking(other) or (uses_pool(other) and not self._beside) for other in running)
        if uses_pool(step) and not self._beside:
            return not any(is_asking(other) for other in [*self._waiting, *running])
        return True

    def _begin(self, step: Step) -> None:
        if is_asking(step):
            if reason := self._refusal():
                self.reports[step.digest] = Report(step.digest, "failed", time.time(), 0.0, reason)
                return
            if not self._beside:
                self._end_pool()
        if uses_pool(step) and not self._pool:
            self._pool = start_pool(self._resources.labelling)
        task = _execute.options(name=step.name, resources=self._slot if step.kind == "train" else {})
        needs = [self._argument(need) for need in step.inputs.values()]
        runs = self._runs if step.kind == "train" else None
        reference = task.remote(_Order(step.alone, self._store, self._pool, runs), *needs)
        self._references[step.digest] = reference
        self._running[reference] = step

    def _argument(self, step: Step) -> "Report | ray.ObjectRef[Any] | None":
        """What a step that needs `step` is given: its report, or the reference of it."""
        return self.reports.get(step.digest) or self._references.get(step.digest)

    def _end_pool(self) -> None:
        for actor in self._pool:
            ray.kill(actor)
        self._pool = ()


def is_asking(step: Step) -> bool:
    """Whether a step asks a prompted teacher."""
    return step.kind == "label" and step.settings["engine"] in PROMPTED


def uses_pool(step: Step) -> bool:
    """Whether a step's inputs are labelled by the pool of labelling actors."""
    if step.kind == "relabel":
        return bool(step.options["engine"] != "vllm")  # Then the student has engines of its own.
    return step.kind == "label" and not is_asking(step)


def _get(reference: "ray.ObjectRef[Any]", digest: str) -> Report:
    try:
        report: Report = ray.get(reference)
    except RayError as error:  # The task could not be run to its end: its process died too often.
        return failed(digest, error, time.time(), 0.0)
    return report


@dataclass(frozen=True)
class _Order:
    step: Step
    store: Store
    pool: Pool
    runs: ActorHandle[Any] | None


@ray.remote(num_cpus=0, max_retries=MOST_TASK_DEATHS)
def _execute(order: _Order, *needs: Report) -> Report:
    """Do one step, unless it has happened or what it needs has failed."""
    return perform(order.step, order.store, needs, OnRay(order.pool, order.runs))
