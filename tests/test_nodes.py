"""A run on a cluster of three nodes, of which one dies in each phase: its labels are those of an undisturbed run."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from mckd_ray.runner.progress import read_progress
from mckd_ray.storage import place_at
from tests.running import TINY, Experiment, processes_below, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]
WORKER = {"labels": {"mckd": "worker"}}
CONFIG: dict[str, Any] = {
    **TINY,
    "plan": {"stages": 2, "systems": ["mckd"]},
    "resources": {"student": WORKER, "labelling": {**WORKER, "chunk": 1}},
}


SPACE = 80 * 2**20
"""Bytes of each node's object store."""
FILL = """
import sys, numpy, ray
ray.init(address=sys.argv[1], log_to_driver=False)
held = [ray.put(numpy.zeros(10_000_000, numpy.uint8)) for _ in range(30)]
print("full", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head, and two nodes for training and labelling."""
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": SPACE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            add_worker(cluster)
        yield cluster
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def calm(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """An undisturbed run."""
    run = Experiment(tmp_path_factory.mktemp("calm"), CONFIG, {"RAY_ADDRESS": cluster.address})
    run.run()
    return run


def add_worker(cluster: Cluster) -> None:
    cluster.add_node(num_cpus=3, labels=WORKER["labels"], object_store_memory=SPACE)


def node_of(cluster: Cluster, title: str) -> Any:
    """The node on which a process with this title runs."""
    return next(node for node in cluster.worker_nodes if processes_on(node, title))


def replace_node(cluster: Cluster, node: Any) -> None:
    """Kill a node, and have a new one take its place."""
    cluster.remove_node(node, allow_graceful=False)
    add_worker(cluster)


def processes_on(node: Any, title: str) -> list[Any]:
    return processes_below(node.all_processes["raylet"][0].process.pid, title)


def done_of(run: Experiment, kind: str) -> int:
    """How many units of the steps of this kind that are under way are done."""
    folders = [path for path in run.steps.glob(f"{kind}-*") if not (path / "record.json").exists()]
    found = [read_progress(place_at(folder)) for folder in folders]
    return sum(progress.done for progress in found if progress)


def under_way(run: Experiment, kind: str) -> bool:
    return done_of(run, kind) > 0


def check_same(shaken: Experiment, calm: Experiment, finished: dict[str, Any]) -> None:
    """All label tables are those of the undisturbed run; what was `finished` before a fault was not done again."""
    assert shaken.label_tables() == calm.label_tables()
    after = shaken.records()
    assert after.keys() == calm.records().keys()
    assert {key: after[key] for key in finished} == finished


def test_a_node_dies_in_each_phase(cluster: Cluster, calm: Experiment, tmp_path: Path) -> None:
    """While the teacher labels, while students train, and while they relabel."""
    shaken = Experiment(tmp_path, CONFIG, calm.environment)
    driver, finished = shaken.start(), dict[str, Any]()
    for kind, title in (("label", "LabellingActor"), ("train", "RayTrainWorker"), ("relabel", "LabellingActor")):
        wait_for(partial(under_way, shaken, kind), driver)
        finished |= shaken.records()
        replace_node(cluster, node_of(cluster, f"ray::{title}"))
    output, _ = driver.communicate(timeout=900)
    assert driver.returncode == 0, output
    check_same(shaken, calm, finished)


def test_a_spot_notice_while_the_object_store_is_full(cluster: Cluster, calm: Experiment, tmp_path: Path) -> None:
    """Ray writes to disk what has no room; a node that is told to go is drained, and then gone."""
    shaken = Experiment(tmp_path, CONFIG, calm.environment)
    command = [sys.executable, "-c", FILL, cluster.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "full\n"
        head: Any = cluster.head_node
        assert list(Path(head.get_session_dir_path()).glob("ray_spilled_objects*/*"))
        driver = shaken.start()
        wait_for(lambda: done_of(shaken, "train") > 0, driver)
        node, before = node_of(cluster, "ray::RayTrainWorker"), done_of(shaken, "train")
        give_notice(cluster, node)
        wait_for(lambda: done_of(shaken, "train") != before, driver)  # It works on until it is taken away.
        finished = shaken.records()
        replace_node(cluster, node)
        output, _ = driver.communicate(timeout=900)
        other.kill()
    assert driver.returncode == 0, output
    check_same(shaken, calm, finished)


def give_notice(cluster: Cluster, node: Any) -> None:
    """What a cloud's notice that it will take a spot instance makes of it in Ray."""
    options = {"node-id": node.node_id, "reason": "DRAIN_NODE_REASON_PREEMPTION", "reason-message": "spot notice"}
    options |= {"address": cluster.address, "deadline-remaining-seconds": 60}
    ray = Path(sys.executable).with_name("ray")
    subprocess.run([ray, "drain-node", *(f"--{key}={value}" for key, value in options.items())], check=True)
