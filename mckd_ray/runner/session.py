"""A connection to Ray: the cluster that the environment names, else a local one for as long as the run lasts."""

import logging
import math
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayError

from mckd_ray.config import ResourcesConfig
from mckd_ray.errors import ResourceError
from mckd_ray.runner.placement import TRIAL_CPUS, Node, check_placement, nodes_of, wants

START_ATTEMPTS = 3
KNOCK_S = 5.0
"""How long a head may take to answer."""
TRAINING_SLOT = "mckd_training"
"""A resource of a local Ray: so many training runs at once as the machine has cores for, in the graph's order.

Without it, all that are ready start their processes at once, and the two students of a stage wait for a third. A
cluster may declare it for its nodes; one that does not starts what is ready.
"""
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
        check_placement(wants(resources, asking, trials), all_nodes(resources))
        yield
    finally:
        ray.shutdown()


def connect(address: str | None, **settings: Any) -> None:
    """`ray.init`, again where a busy machine kept a local Ray from starting within its fixed half minute.

    Without an `address` it is a Ray of its own, also on a machine where another one runs. Raises ResourceError.
    """
    if address and "://" in address and not address.startswith("ray://"):
        raise ResourceError(
            f"RAY_ADDRESS={address} is that of a dashboard, to which jobs are submitted (--submit); to join the "
            "cluster, give its head's, such as 10.0.0.1:6379, or unset it for a Ray of its own."
        )
    for _ in range(START_ATTEMPTS):
        try:
            ray.init(address=address or "local", **settings)
        except ConnectionError as error:
            where = f"RAY_ADDRESS={address}"
            raise ResourceError(f"{where}: no Ray cluster answers there ({error}); mend or unset it.") from error
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
        else:
            return
    raise ResourceError("Ray could not be started: this machine is too busy; try again when less is running.")


def nodes_at(address: str) -> list[Node]:
    """The living nodes of the cluster whose head listens at `address`, such as 10.0.0.1:6379. Raises ResourceError."""
    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal():  # Ray itself would try for a minute.
            socket.create_connection((host, int(port)), KNOCK_S).close()
        connect(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, RayError, RuntimeError) as error:
        reason = next(iter(str(error).strip().splitlines()), "no reason given")
        raise ResourceError(f"{address}: no Ray cluster takes this machine in ({reason}); mend the address.") from error
    try:
        return all_nodes(ResourcesConfig())
    finally:
        ray.shutdown()


def cluster_resources() -> dict[str, float]:
    """What the nodes of the cluster have in all, by the resource's name."""
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return found


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def all_nodes(resources: ResourcesConfig) -> list[Node]:
    """The nodes of the cluster that are alive, and those that it may start."""
    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    alive = [Node(node["Resources"], node.get("Labels", {})) for node in found if node["Alive"]]
    return [*alive, *nodes_of(resources.autoscaling.values())]
