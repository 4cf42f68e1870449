"""The model of a run against the runner itself: the same graph on nodes that Ray simulates, whose steps only wait."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle
from ray.cluster_utils import Cluster as SimulatedNodes
from scaling_model import Cluster, Work

from mckd_ray.config import ResourcesConfig
from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.runner.dispatch import dispatch
from mckd_ray.runner.session import TRAINING_SLOT, WORKER_ENVIRONMENT, connect
from mckd_ray.student.base import Labeller

CHUNKS = 24
"""In which each relabelling step gives its inputs to the pool."""


@dataclass(frozen=True)
class Nap:
    """A labeller that takes some seconds for an input, and writes nothing."""

    seconds: float

    def load(self) -> Labeller:
        """As `runner.labelling` wants it."""
        return _Napping(self.seconds)


class _Napping(Labeller):
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def label(self, examples: Sequence[Example]) -> list[Label]:
        time.sleep(self._seconds * len(examples))
        return [Label(example.id, "", "", Outcome.UNPARSABLE) for example in examples]


def waiting(alone: Mapping[str, float], pooled: Mapping[str, float]) -> Callable[[], None]:
    """What each worker process runs first: it makes every step wait.

    By the step's key: for how many seconds itself, and how many in all the actors of the pool.
    """

    def prepare() -> None:
        from mckd_ray import student
        from mckd_ray.runner import work as module

        def wait(job: Any) -> dict[str, Any]:
            time.sleep(alone[job.key])
            if job.key in pooled:
                examples = [Example(str(number)) for number in range(CHUNKS)]
                job.means.label(Nap(pooled[job.key] / CHUNKS), examples, job.key, job.place, 1)
            return {}

        student.use_threads = lambda count: None  # Which would import torch.
        module.WORK = dict.fromkeys(module.WORK, wait)

    return prepare


@contextmanager
def nodes_of(cluster: Cluster) -> Iterator[SimulatedNodes]:
    """A head, and a node for each GPU of `cluster`."""
    nodes = SimulatedNodes(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "include_dashboard": False, "resources": {TRAINING_SLOT: cluster.runs}},
    )
    try:
        for role, count in (("teacher", cluster.replicas), ("student", cluster.students)):
            for _ in range(count):
                nodes.add_node(num_cpus=1, num_gpus=1, labels={"mckd": role})
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()  # type: ignore[no-untyped-call]


def seconds_on_ray(steps: Sequence[Step], work: Mapping[str, Work], cluster: Cluster) -> float:
    """How long the runner takes for `steps`, whose `work` is by digest."""
    resources = ResourcesConfig.model_validate(
        {
            "teacher": {"replicas": cluster.replicas, "gpus": 1, "labels": {"mckd": "teacher"}},
            "student": {"workers": cluster.workers, "gpus": 1, "labels": {"mckd": "student"}},
            "labelling": {"actors": cluster.actors, "gpus": 1, "labels": {"mckd": "student"}},
        }
    )
    pooled = {step.key: work[step.digest].shared * cluster.actors for step in steps if step.kind == "relabel"}
    alone = {step.key: work[step.digest].seconds for step in steps}
    alone |= {key: alone[key] - seconds / cluster.actors for key, seconds in pooled.items()}
    # Ray's processes do not find it.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]
    hook = waiting(alone, pooled)
    with nodes_of(cluster) as nodes, tempfile.TemporaryDirectory(prefix="mckd-scaling-") as folder:
        environment = {"worker_process_setup_hook": hook, "env_vars": WORKER_ENVIRONMENT}
        connect(address=nodes.address, log_to_driver=False, runtime_env=environment)
        ray.get([_nothing.remote() for _ in range(8)])  # Starts worker processes, which a long run does once.
        started = time.perf_counter()
        reports = dispatch(steps, {}, Store(Path(folder)), resources, lambda reports: None)
        seconds = time.perf_counter() - started
    failed = {report.message for report in reports.values() if report.state != "done"}
    if failed:
        raise RuntimeError(f"steps that only wait failed: {failed}")
    return seconds


@ray.remote(num_cpus=0)
def _nothing() -> None:
    time.sleep(1)
