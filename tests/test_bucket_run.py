"""A run on two nodes that share no folder, with its store in a bucket: the same label tables as on a shared folder."""

import contextlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from mckd_ray.errors import StoreError
from mckd_ray.storage.bucket import Bucket
from mckd_ray.storage.root import Root
from tests import bucket
from tests.running import TINY, Experiment, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(2400)]
URI = f"s3://{bucket.NAME}/runs"
CONFIG: dict[str, Any] = {
    **TINY,
    "plan": {"stages": 2, "systems": ["mckd"]},
    # What one node trains, the other labels with.
    "resources": {"student": {"labels": {"node": "two"}}, "labelling": {"labels": {"node": "one"}, "chunk": 16}},
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Root]:
    """The bucket as somebody sees it who has no part in the run."""
    port = bucket.free_port()
    for name, value in bucket.environment(port).items():
        monkeypatch.setenv(name, value)
    with bucket.server(port):
        yield Bucket(URI, tmp_path / "reader")


@pytest.fixture
def cluster(root: Root, tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes whose processes have their copies in folders of their own."""
    cluster = Cluster()
    try:
        for name in ("one", "two"):
            cluster.add_node(
                num_cpus=3,
                include_dashboard=False,
                labels={"node": name},
                env_vars={"MCKD_CACHE": str(tmp_path / name)},
            )
        yield cluster
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


def contents(steps: Path, name: str) -> dict[str, bytes]:
    """The bytes of the file `name` of each step that has one, by the step's key."""
    return {path.parent.name: path.read_bytes() for path in steps.glob(f"*/{name}")}


def copies(folder: Path, pattern: str) -> set[str]:
    """The steps of which a node has a copy of such a file."""
    return {path.relative_to(folder).parts[2] for path in folder.glob(f"*/steps/*/{pattern}")}


def complete_checkpoints(root: Root) -> bool:
    with contextlib.suppress(StoreError):  # Files come and go while it looks.
        root.here("steps")
    return any((root.base / "steps").glob("train-*/checkpoints/*/mckd_complete"))


def test_two_nodes_that_share_no_folder(cluster: Cluster, root: Root, tmp_path: Path) -> None:
    """The driver is killed while a student trains; the same command goes on from what the bucket has."""
    plain, remote = (Experiment(tmp_path / name, CONFIG, {"RAY_ADDRESS": cluster.address}) for name in ("plain", "far"))
    for run in (plain, remote):
        run.folder.mkdir()
    plain.run()

    remote.environment["MCKD_CACHE"] = str(tmp_path / "driver")
    driver = remote.start(f"store.root={URI}")
    wait_for(partial(complete_checkpoints, root), driver)
    driver.kill()
    driver.communicate()
    driver = remote.start(f"store.root={URI}")
    output, _ = driver.communicate(timeout=1200)
    assert driver.returncode == 0, output
    assert f"More: {URI}/tiny/result.json" in output

    root = Bucket(URI, tmp_path / "afterwards")
    steps = root.here("steps")
    for name in ("labels.parquet", "evaluation.json"):
        assert contents(steps, name) == contents(plain.steps, name)
    assert not json.loads(root.read("tiny/result.json") or "")["failed"]
    trained = copies(tmp_path / "two", "model/student.json")
    assert trained == {path.parent.name for path in steps.glob("train-*/model")}
    brought = copies(tmp_path / "one", "model/student.json")
    assert brought
    assert brought <= trained
    assert not copies(tmp_path / "driver", "*.parquet"), "no table passes through the driver"
    assert not list(steps.glob("train-*/checkpoints/*"))
    root.here("tiny")
    files = (path for path in tmp_path.rglob("*") if path.is_file())
    assert not [path for path in files if bucket.CREDENTIALS["AWS_SECRET_ACCESS_KEY"].encode() in path.read_bytes()]
