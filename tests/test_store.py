"""The store: a step has happened when its record is there, and one process at a time works on it."""

import subprocess
import sys
from pathlib import Path

import pytest

from mckd_ray.errors import StoreError
from mckd_ray.plan.probe import probe
from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.runner.reports import reused
from mckd_ray.storage.folder import Folder

STEP = Step("merge", "a step", {"task": "text"})
HOLD = """
import sys, time
from mckd_ray.plan.store import Store
with Store(sys.argv[1]).lock(sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_step_has_happened_once_it_is_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.record(STEP.key) is None
    store.finish(STEP, 10.0, 12.5, {"rows": 3}, store.prepare(STEP))
    record = Store(tmp_path).record(STEP.key)
    assert record is not None
    assert (record.digest, record.seconds, record.facts) == (STEP.digest, 2.5, {"rows": 3})


def test_what_stands_on_labels_happens_again_when_they_change(tmp_path: Path) -> None:
    """Only when they change: a teacher that was asked again and said nothing new changes nothing."""
    store = Store(tmp_path)
    label = Step("label", "label", {"task": "text"})
    train = Step("train", "train", {"task": "text"}, {"labels-0": label})
    relabel = Step("relabel", "relabel", {"task": "text"}, {"student": train})

    def do(step: Step, **facts: object) -> None:
        store.finish(step, 0, 1, facts, store.prepare(step))

    do(label, content="old", unanswered=2)
    do(train)
    do(relabel)
    (store.folder(train.key) / "checkpoint").touch()
    assert reused(store, label) is None, "two inputs have no answer yet"
    assert [reused(store, step) is not None for step in (train, relabel)] == [True, True]
    do(label, content="old", unanswered=0)
    assert [reused(store, step) is not None for step in (label, train, relabel)] == [True, True, True]
    do(label, content="new")
    assert [reused(store, step) is not None for step in (label, train, relabel)] == [True, False, True]
    do(train)
    assert not (store.folder(train.key) / "checkpoint").exists(), "a student of the old labels was trained on"
    assert reused(store, relabel) is None


def test_files_without_a_record_are_an_unfinished_attempt(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.folder(STEP.key).mkdir(parents=True)
    (store.folder(STEP.key) / "labels.parquet").write_bytes(b"half")
    assert store.record(STEP.key) is None


def test_a_killed_process_lets_go_of_its_step(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not store.busy(STEP.key)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), STEP.key], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert store.busy(STEP.key)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with store.lock(STEP.key):
        pass
    assert not store.busy(STEP.key)


def test_a_damaged_record_names_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.folder(STEP.key).mkdir(parents=True)
    (store.folder(STEP.key) / "record.json").write_text("{")
    with pytest.raises(StoreError, match=r"record\.json"):
        store.record(STEP.key)


def test_a_root_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "file" / "below").check_writable()


def test_a_local_folder_keeps_what_runs_rely_on(tmp_path: Path) -> None:
    probe(Store(tmp_path / "new"))
    assert not list((tmp_path / "new").glob(".*"))


def test_a_store_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks that no other process sees, as on file systems that keep them to one machine."""
    monkeypatch.setattr(Folder, "_lock_file", lambda folder, name: tmp_path / "elsewhere" / name)
    with pytest.raises(StoreError, match="does not lock files between processes"):
        probe(Store(tmp_path))
