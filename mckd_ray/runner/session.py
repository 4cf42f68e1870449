"""A connection to Ray: the cluster that the environment names, else a local one for as long as the run lasts."""

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray

from mckd_ray.config import ResourcesConfig
from mckd_ray.errors import ResourceError

START_ATTEMPTS = 3
TRAINING_SLOT = "mckd_training"
"""A resource of a local Ray: so many training runs at once as the machine has cores for, in the graph's order.

Without it, all that are ready start their processes at once, and the two students of a stage wait for a third. A
cluster may declare it for its nodes; one that does not starts what is ready.
"""
Amounts = Mapping[str, float]
"""CPUs and GPUs."""
TRIAL_CPUS = 0.01
"""What the driver of a sweep's trial takes: it only waits, but Ray Tune refuses 0."""
WORKER_ENVIRONMENT = {
    # One thread a process unless a step says otherwise: contended threads are several times slower than one.
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # At Ray's default of 2 s, the end of each training run is noticed up to 2 s late.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # Each of these is a process more for every training run, that no run here has a use for.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # A trial of a sweep works in the folder that the command was given in, which paths in its config start from.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # A training run waits for its turn on a small machine as long as it takes.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "86400",
}


@contextmanager
def session(resources: ResourcesConfig, asking: bool = False, verbose: bool = False, trials: int = 0) -> Iterator[None]:
    """Be connected to Ray, which has room for the prompted teacher if the run is `asking` one.

    A local Ray has CPUs for the labelling actors and engines beside the machine's own, as they idle a lot; and one for
    the drivers of so many `trials` of a sweep, which only wait.
    Raises ResourceError if the cluster can never hold what `resources` asks for.
    """
    address = os.environ.get("RAY_ADDRESS")
    labelling, teacher = resources.labelling, resources.teacher
    beside = (
        labelling.actors * labelling.cpus + (teacher.replicas * teacher.cpus if asking else 0) + trials * TRIAL_CPUS
    )
    own_cpus = None if address else cores() + math.ceil(beside)
    slots = max(1, int(cores() / (resources.student.workers * resources.student.cpus)))
    if own_cpus is not None:  # Else Ray warns of the many small processes that a few training runs are.
        os.environ.setdefault("RAY_worker_maximum_startup_concurrency", str(4 * own_cpus))
    connect(
        address=address,
        num_cpus=own_cpus,
        resources=None if address else {TRAINING_SLOT: slots},
        include_dashboard=None if address else False,
        logging_level=logging.INFO if verbose else logging.ERROR,
        log_to_driver=verbose,
        runtime_env={"env_vars": WORKER_ENVIRONMENT},
    )
    try:
        _check_fits(resources, asking, trials)
        yield
    finally:
        ray.shutdown()


def connect(**settings: Any) -> None:
    """`ray.init`, again where a busy machine kept a local Ray from starting within its fixed half minute."""
    for _ in range(START_ATTEMPTS):
        try:
            ray.init(**settings)
        except ConnectionError as error:
            where = f"RAY_ADDRESS={settings['address']}"
            raise ResourceError(f"{where}: no Ray cluster answers there ({error}); mend or unset it.") from error
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
        else:
            return
    raise ResourceError("Ray could not be started: this machine is too busy; try again when less is running.")


def cluster_resources() -> dict[str, float]:
    """What the nodes of the cluster have in all, by the resource's name."""
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def room_beside(resources: ResourcesConfig) -> bool:
    """Whether the engines of the teacher fit into the cluster beside the labelling actors and a training run."""
    have, all_at_once = cluster_resources(), [*_students(resources), *_engines(resources)]
    return all(sum(one[kind] for one in all_at_once) <= have.get(kind, 0) for kind in ("CPU", "GPU"))


def _students(resources: ResourcesConfig) -> list[Amounts]:
    """What the processes of a training run want, and the labelling actors beside it."""
    student, labelling = resources.student, resources.labelling
    worker: Amounts = {"CPU": student.cpus, "GPU": student.gpus}
    actor: Amounts = {"CPU": labelling.cpus, "GPU": labelling.gpus}
    return [worker] * student.workers + [actor] * labelling.actors


def _engines(resources: ResourcesConfig) -> list[Amounts]:
    teacher = resources.teacher
    return [{"CPU": teacher.cpus, "GPU": teacher.gpus}] * teacher.replicas


def _drivers(trials: int) -> list[Amounts]:
    return [{"CPU": TRIAL_CPUS, "GPU": 0.0}] * trials


def _check_fits(resources: ResourcesConfig, asking: bool, trials: int) -> None:
    """What runs at once must fit, or Ray would wait for ever: the labelling actors with a training run, the engines."""
    student, labelling, teacher = resources.student, resources.labelling, resources.teacher
    actors = f"{labelling.actors} labelling actors" + (f", {trials} trials" if trials else "")
    needs = {
        f"{student.workers} training workers, {actors}; see resources.student, labelling": [
            *_students(resources),
            *_drivers(trials),
        ]
    }
    if asking:
        what = f"{teacher.replicas} engines of the teacher; see resources.teacher"
        needs[what] = [*_engines(resources), *_drivers(trials)]
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    for what, wanted in needs.items():
        check_room(what, wanted, nodes)


def check_room(what: str, wanted: Sequence[Amounts], nodes: Sequence[Amounts]) -> None:
    """Raise ResourceError unless the `nodes` together have what is `wanted`, and one of them each single piece of it.

    A training run nested in a task whose workers fit nowhere would otherwise wait in silence (ray issue 47439).
    """
    for kind in ("CPU", "GPU"):
        amount, have = sum(one[kind] for one in wanted), sum(node.get(kind, 0) for node in nodes)
        if amount > have:
            raise ResourceError(f"the run wants {amount:g} {kind}s ({what}), the cluster has {have:g}; ask for less.")
    for one in wanted:
        if not any(all(one[kind] <= node.get(kind, 0) for kind in one) for node in nodes):
            raise ResourceError(
                f"no node of the cluster has {one['CPU']:g} CPUs and {one['GPU']:g} GPUs, which one of {what} wants; "
                "ask for less."
            )
