"""A run on a cluster of three nodes, of which one dies in each phase: its labels are those of an undisturbed run."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from mckd_ray.runner.progress import read_progress
from tests.running import TINY, Experiment, processes_below, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]
WORKER = {"labels": {"mckd": "worker"}}
CONFIG: dict[str, Any] = {
    **TINY,
    "plan": {"stages": 2, "systems": ["mckd"]},
    "resources": {"student": WORKER, "labelling": {**WORKER, "chunk": 1}},
}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head, and two nodes for training and labelling."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for _ in range(2):
            add_worker(cluster)
        yield cluster
    finally:
        cluster.shutdown()


def add_worker(cluster: Cluster) -> None:
    cluster.add_node(num_cpus=3, labels=WORKER["labels"])


def kill_node_of(cluster: Cluster, title: str) -> None:
    """Kill the node on which a process with this title runs, and have a new one take its place."""
    node = next(node for node in cluster.worker_nodes if processes_on(node, title))
    cluster.remove_node(node, allow_graceful=False)
    add_worker(cluster)


def processes_on(node: Any, title: str) -> list[Any]:
    return processes_below(node.all_processes["raylet"][0].process.pid, title)


def under_way(run: Experiment, kind: str) -> bool:
    """Whether a step of this kind has begun its work, and is not done with it."""
    folders = [path for path in run.steps.glob(f"{kind}-*") if not (path / "record.json").exists()]
    return any(progress.done > 0 for folder in folders if (progress := read_progress(folder)))


def test_a_node_dies_in_each_phase(cluster: Cluster, tmp_path: Path) -> None:
    """While the teacher labels, while students train, and while they relabel."""
    address = {"RAY_ADDRESS": cluster.address}
    calm, shaken = (Experiment(tmp_path / name, CONFIG, address) for name in ("calm", "shaken"))
    for run in (calm, shaken):
        run.folder.mkdir()
    calm.run()

    driver = shaken.start()
    for kind, title in (("label", "LabellingActor"), ("train", "RayTrainWorker"), ("relabel", "LabellingActor")):
        wait_for(partial(under_way, shaken, kind), driver)
        kill_node_of(cluster, f"ray::{title}")
    output, _ = driver.communicate(timeout=900)
    assert driver.returncode == 0, output
    assert shaken.label_tables() == calm.label_tables()
    assert shaken.records().keys() == calm.records().keys()
