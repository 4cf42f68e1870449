"""The graph on Ray: each step is a Ray task whose arguments are the reports of the steps that it needs.

So Ray's own scheduler runs whatever is ready. A step that fails takes with it only what stands on it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError

from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.runner.means import OnRay
from mckd_ray.runner.perform import perform
from mckd_ray.runner.reports import Report, failed
from mckd_ray.runner.session import TRAINING_SLOT, cluster_resources
from mckd_ray.runner.training_runs import start_training_runs
from mckd_ray.teacher import PROMPTED

MOST_TASK_DEATHS = 3
"""How often Ray runs a step's task again when the process or node that ran it died."""
POLL_S = 0.3

Watch = Callable[[Mapping[str, Report]], None]
Pool = Sequence[ActorHandle[Any]]


def dispatch(
    steps: Sequence[Step], known: Mapping[str, Report], store: Store, start_pool: Callable[[], Pool], watch: Watch
) -> dict[str, Report]:
    """Run `steps`, inputs before what needs them, and return the report of each by digest, with the `known` ones.

    `known` holds the reports of the steps that have happened before. `watch` is called a few times a second with the
    reports so far. The pool of labelling actors is started when the first step needs it, and not before the prompted
    teachers are done: both may want all GPUs. The actor that has students trained is started with the first of them.
    """
    arguments: dict[str, Any] = dict(known)
    slot = {TRAINING_SLOT: 1} if TRAINING_SLOT in cluster_resources() else {}
    waiting, running = list(steps), dict[ray.ObjectRef[Any], Step]()
    reports, pool, runs = dict(known), None, None
    while waiting or running:
        asking = any(is_asking(step) for step in [*waiting, *running.values()])
        for step in list(waiting):
            if (uses_pool(step) and asking) or not all(need.digest in arguments for need in step.inputs.values()):
                continue
            waiting.remove(step)
            if uses_pool(step) and pool is None:
                pool = start_pool()
            if step.kind == "train" and runs is None:
                runs = start_training_runs()
            needs = [arguments[need.digest] for need in step.inputs.values()]
            task = _execute.options(name=step.name, resources=slot if step.kind == "train" else {})
            reference = task.remote(_Order(step, store.root, pool or (), runs), *needs)
            arguments[step.digest] = reference
            running[reference] = step
        ready, _ = ray.wait(list(running), timeout=POLL_S)
        for reference in ready:
            digest = running.pop(reference).digest
            reports[digest] = _get(reference, digest)
        watch(reports)
    return reports


def is_asking(step: Step) -> bool:
    """Whether a step asks a prompted teacher."""
    return step.kind == "label" and step.settings["engine"] in PROMPTED


def uses_pool(step: Step) -> bool:
    """Whether a step's inputs are labelled by the pool of labelling actors."""
    if step.kind == "relabel":
        return step.options["engine"] != "vllm"  # Then the student has engines of its own.
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
    root: Path
    pool: Pool
    runs: ActorHandle[Any] | None


@ray.remote(num_cpus=0, max_retries=MOST_TASK_DEATHS)
def _execute(order: _Order, *needs: Report) -> Report:
    """Do one step, unless it has happened or what it needs has failed."""
    return perform(order.step, Store(order.root), needs, OnRay(order.pool, order.runs))
