"""A store in a bucket, on an S3 server of this machine: what one node keeps, another finds; one at a time works."""

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from mckd_ray.cli import main
from mckd_ray.errors import StepError, StoreError
from mckd_ray.plan.probe import probe
from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.records import Answer
from mckd_ray.runner.reports import reused
from mckd_ray.storage import lease, place_at, root_at
from mckd_ray.storage.bucket import Bucket, bucket_at
from mckd_ray.storage.root import Place
from mckd_ray.teacher.answers import AnswerBook
from tests import bucket
from tests.running import TINY

STEP = Step("merge", "a step", {"task": "text"})
HOLD = """
import sys, time
from mckd_ray.plan.store import Store
with Store(sys.argv[1]).lock(sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""
NO_KEYS = {**dict.fromkeys(bucket.CREDENTIALS, ""), "AWS_METADATA_ENDPOINT": "http://127.0.0.1:9"}
Node = Callable[[str], Bucket]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    port = bucket.free_port()
    with bucket.server(port):
        yield port


@pytest.fixture
def uri(port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A root of this test's own, which the environment leads to."""
    for name, value in {**bucket.environment(port), "MCKD_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    yield f"s3://{bucket.NAME}/{tmp_path.name}"
    bucket_at.cache_clear()


@pytest.fixture
def node(uri: str, tmp_path: Path) -> Node:
    """The root as the node with a name has it: with copies of its own."""
    return lambda name: Bucket(uri, tmp_path / name)


@pytest.fixture
def faulty(port: int, uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[bucket.Gateway]:
    """A gateway on the way to the store, which can refuse; nobody waits for long."""
    for name in ("PATIENCE_S", "BRISK_S"):
        monkeypatch.setattr(f"mckd_ray.storage.bucket.{name}", 0.3)
    with bucket.gateway(port) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{between.server_port}")
        yield between


def test_a_step_happens_on_one_node_and_is_read_on_another(uri: str, node: Node) -> None:
    store = Store(uri)
    assert store.record(STEP.key) is None
    read = store.prepare(STEP)
    (store.folder(STEP.key) / "model").mkdir()
    (store.folder(STEP.key) / "model" / "weights").write_bytes(b"w" * 100)
    with store.lock(STEP.key):
        store.finish(STEP, 10.0, 12.5, {"rows": 3}, read)
    report = reused(Store(uri), STEP)
    assert report is not None
    assert report.seconds == 2.5
    elsewhere = Place(node("b"), store.place(STEP.key).below)
    assert not elsewhere.path.exists()
    assert (elsewhere / "model").here() == elsewhere.path / "model"
    assert (elsewhere / "model" / "weights").path.read_bytes() == b"w" * 100
    assert not (elsewhere / "read.json").path.exists(), "only what was asked for is brought"


def test_a_copy_is_brought_once_and_follows_the_bucket(node: Node) -> None:
    a, b = Place(node("a"), "steps/x"), Place(node("b"), "steps/x")
    a.path.mkdir(parents=True)
    (a / "one").path.write_text("1")
    (a / "two").path.write_text("2")
    a.keep()
    inode = (b.here() / "one").stat().st_ino
    (a / "two").path.write_text("3")
    a.keep()
    (b / "left").path.write_text("of an attempt that nobody kept")
    b.here()
    assert (b / "one").path.stat().st_ino == inode
    assert {path.name: path.read_text() for path in b.path.iterdir()} == {"one": "1", "two": "3"}
    (a / "one").forget()
    assert [path.name for path in b.here().iterdir()] == ["two"]
    assert (b / "none").read() is None


def test_work_on_other_editions_starts_anew_on_every_node(uri: str) -> None:
    store = Store(uri)
    label = Step("label", "label", {"task": "text"})
    train = Step("train", "train", {"task": "text"}, {"labels-0": label})
    store.finish(label, 0, 1, {"content": "old"}, store.prepare(label))
    store.prepare(train)
    (store.folder(train.key) / "checkpoint").touch()
    store.place(train.key).keep()
    store.prepare(train)
    assert (store.place(train.key) / "checkpoint").read() is not None, "an earlier attempt is built on"
    store.finish(label, 0, 1, {"content": "new"}, store.prepare(label))
    store.prepare(train)
    assert (store.place(train.key) / "checkpoint").read() is None


def test_a_killed_process_lets_go_of_its_step(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_S", 0.3)
    monkeypatch.setattr(lease, "POLL_S", 0.1)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, uri, STEP.key], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert Store(uri).busy(STEP.key)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with Store(uri).lock(STEP.key):
        pass


def test_one_at_a_time_holds_a_lock(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_S", 0.02)
    inside, most = [0], list[int]()

    def work(root: Bucket) -> None:
        for _ in range(3):
            with root.lock("step"):
                inside[0] += 1
                most.append(inside[0])
                time.sleep(0.01)
                inside[0] -= 1

    threads = [threading.Thread(target=work, args=[node(name)]) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 12
    assert not node("e").busy("step")


def test_who_holds_a_lock_for_long_keeps_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_S", 1.0)
    monkeypatch.setattr(lease, "BEAT_S", 0.05)
    monkeypatch.setattr(lease, "POLL_S", 0.05)
    got, holder = threading.Event(), node("a")

    def want() -> None:
        with node("b").lock("step"):
            got.set()

    with holder.lock("step"):
        waiting = threading.Thread(target=want)
        waiting.start()
        assert not got.wait(2.0)
        holder.confirm("step")
    waiting.join()
    assert got.is_set()


def test_who_was_cut_off_does_not_finish(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """It slept, or could not reach the store, for so long that another process has taken over."""
    monkeypatch.setattr(lease, "LEASE_S", 0.1)
    monkeypatch.setattr(lease, "POLL_S", 0.05)
    cut_off = node("a")
    with cut_off.lock("step"), node("b").lock("step"):
        with pytest.raises(StepError, match="another process took over"):
            cut_off.confirm("step")
        assert node("c").busy("step"), "and leaves the other one's lock alone"


def test_answers_that_were_paid_for_are_never_lost(node: Node, faulty: bucket.Gateway) -> None:
    """What could not be handed over stays on the node, and is handed over with the next chance."""
    a, b = (AnswerBook(Place(node(name), "answers/model")) for name in "ab")
    answer = Answer("key", ("text",), (0.0,))
    with a.held():
        a.add([answer])
        with faulty.refusing(), pytest.raises(StoreError, match="503"):
            a.flush()
    assert b.find(["key"]) == {}
    assert a.find(["key"]) == b.find(["key"]) == {"key": answer}


def test_a_bucket_keeps_what_runs_rely_on(uri: str) -> None:
    probe(Store(uri))
    root = root_at(uri)
    assert isinstance(root, Bucket)
    assert root.read(".doctor.json") is None


def test_the_store_refuses_for_a_while(node: Node, faulty: bucket.Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests wait for it; when it is back, all goes on."""
    monkeypatch.setattr("mckd_ray.storage.bucket.PATIENCE_S", 60.0)
    root = node("a")
    with faulty.refusing():
        writer = threading.Thread(target=root.write, args=["record", "text"])
        writer.start()
        while faulty.refused < 3:
            time.sleep(0.02)
        root.tell("progress", "is not worth waiting for")
        assert root.glance("record") is None
        assert writer.is_alive()
    writer.join()
    assert node("b").read("record") == "text"
    assert node("b").read("progress") is None


def test_the_store_stays_away(node: Node, faulty: bucket.Gateway) -> None:
    with faulty.refusing(), pytest.raises(StoreError, match=r"does not answer .*503.* the same command goes on"):
        node("a").read("record")
    assert faulty.refused > 1, "it was tried again"


@pytest.mark.parametrize(
    ("root", "variables", "words"),
    [
        ("s3://nowhere/runs", {}, "there is no bucket 'nowhere'"),
        ("ftp://host/runs", {}, "give a folder, or a URI such as s3://BUCKET/PREFIX or gs://BUCKET/PREFIX"),
        ("s3://", {}, "is no place for a store"),
        ("s3://experiments/runs", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "does not answer as it should"),
        (
            "s3://experiments/runs",
            NO_KEYS,
            "no credentials are found",
        ),
    ],
    ids=["bucket", "kind", "empty", "address", "credentials"],
)
def test_a_root_that_cannot_be_used(
    uri: str, root: str, variables: dict[str, str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    for name, value in variables.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    monkeypatch.setattr("mckd_ray.storage.bucket.BRISK_S", 0.5)
    assert main(["run", str(tmp_path / "tiny.yaml"), "-o", f"store.root={root}"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert "secret-of-a-test" not in said


def test_credentials_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = bucket.free_port()
    with bucket.server(port, {"INITIAL_NO_AUTH_ACTION_COUNT": "1"}):
        for name, value in bucket.environment(port).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(StoreError, match="these credentials may not do this; check AWS_ACCESS_KEY_ID"):
            Bucket(f"s3://{bucket.NAME}/runs", tmp_path).check_writable()


def test_a_config_is_read_from_a_bucket(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Such as the best one of a sweep, which lies in its store."""
    (place_at(f"{uri}/swept") / "best.yaml").write(yaml.safe_dump({**TINY, "store": {"root": uri}}))
    assert main(["plan", f"{uri}/swept/best.yaml", "--json"]) == 0
    assert '"corpus"' in capsys.readouterr().out
    assert main(["plan", f"{uri}/swept/worst.yaml"]) == 2
    assert "worst.yaml: no such config file" in capsys.readouterr().err


def test_a_place_names_the_same_on_every_node(uri: str) -> None:
    place = place_at(f"{uri}/demo") / "plan.json"
    assert str(place) == f"{uri}/demo/plan.json"
    there = pickle.loads(pickle.dumps(place))
    assert there == place
    assert there.path.is_relative_to(os.environ["MCKD_CACHE"])
