"""Submitting a run to a cluster: what is sent, and a real head on loopback, behind a token, that takes jobs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mckd_ray.cli import main
from mckd_ray.config_file import read_config
from mckd_ray.runner.submission import package

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "cluster" / "local.sh"
CONFIG = """
task: {kind: text}
corpus: {path: rows, labelled: 2}
teacher: {engine: replay, model: labels.jsonl}
student: {kind: seq2seq, linearisation: plain, model: google-t5/t5-small}
plan: {stages: 1, systems: [teacher]}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment of a teacher alone, whose labels lie in a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows").mkdir()
    rows = [{"id": str(number), "text": f"in {number}", "target": f"out {number}"} for number in range(6)]
    for split, some in (("train", rows[:4]), ("dev", rows[4:5]), ("test", rows[5:])):
        (tmp_path / "rows" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "small.yaml").write_text(CONFIG)
    return tmp_path / "small.yaml"


def test_what_the_config_names_by_relative_paths_is_sent_with_it(config: Path, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    sent.mkdir()
    path = package(read_config(config, ["store.root=/shared/runs"]), sent)
    there = read_config(path)
    assert (sent / there.corpus.path / "train.jsonl").read_text() == (tmp_path / "rows" / "train.jsonl").read_text()
    assert (sent / there.teacher.model).read_text() == (tmp_path / "labels.jsonl").read_text()
    assert (there.name, there.student.model) == ("small", "google-t5/t5-small")
    assert {file.name for file in sent.iterdir()} == {"small.yaml", "inputs"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--submit", "http://127.0.0.1:1"], "store.root is 'runs', below the folder of the job"),
        (["--submit", "http://127.0.0.1:1", "-o", "store.root=/tmp/runs"], "no Ray cluster answers there"),
        (["--submit", "127.0.0.1:8265", "-o", "store.root=/tmp/runs"], "is no address of a dashboard"),
    ],
)
def test_what_cannot_be_submitted_is_one_sentence(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    assert main(["run", str(config), *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A head and a worker node on this machine, by cluster/local.sh; gives what its users export."""
    environment = {
        **os.environ,
        "RAY": str(Path(sys.executable).with_name("ray")),
        "MCKD_CLUSTER_STATE": f"/tmp/mckd-test-{os.getpid()}",
        "MCKD_CLUSTER_PORT": "6397",
        "MCKD_CLUSTER_DASHBOARD": "8297",
        "MCKD_CLUSTER_NODES": "2",
        "MCKD_CLUSTER_CPUS": "2",
    }
    try:
        subprocess.run([SCRIPT, "up"], env=environment, check=True, timeout=600)
        told = subprocess.run([SCRIPT, "status"], env=environment, check=True, capture_output=True, text=True).stdout
        lines = [line.removeprefix("export ") for line in told.splitlines() if line.startswith("export ")]
        yield {**environment, **dict(line.split("=", 1) for line in lines)}
    finally:
        subprocess.run([SCRIPT, "down"], env=environment, check=True, timeout=120)


def mckd(environment: dict[str, str], folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `mckd` on the laptop's side: without RAY_ADDRESS, as only --submit names the cluster."""
    own = {key: value for key, value in environment.items() if key != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "mckd_ray.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=500)


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_is_a_job_of_a_cluster(cluster: dict[str, str], config: Path, tmp_path: Path) -> None:
    address = cluster["RAY_ADDRESS"]
    shared = ["-o", f"store.root={tmp_path / 'shared'}"]

    done = mckd(cluster, tmp_path, "run", "small.yaml", "--submit", address, *shared)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "teacher" in done.stdout  # The job's own table.
    result = json.loads((tmp_path / "shared" / "small" / "result.json").read_text())
    assert result["systems"]["teacher"]["coverage"] == 1

    # A wrong config ends the job, and so the command, with 2; what the job said is told.
    wrong = ["-o", "teacher.model=none.jsonl"]
    refused = mckd(cluster, tmp_path, "run", "small.yaml", "--submit", address, *shared, *wrong)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "none.jsonl" in refused.stdout

    # What can never be placed is refused before anything starts.
    greedy = ["-o", "resources.labelling.labels.mckd=nobody", "-o", f"store.root={tmp_path / 'other'}"]
    never = mckd(cluster, tmp_path, "run", "small.yaml", "--submit", address, *greedy)
    assert never.returncode == 2, never.stdout + never.stderr
    assert "the label mckd=nobody" in never.stdout

    # Not waiting: the job's id at once.
    accepted = mckd(cluster, tmp_path, "label", "small.yaml", "--submit", address, *shared, "--no-wait", "--json")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert json.loads(accepted.stdout)["id"].startswith("raysubmit_")

    # Without the token nobody submits.
    stranger = {**cluster, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    (tmp_path / "token").write_text("1" * 64)
    turned_away = mckd(stranger, tmp_path, "run", "small.yaml", "--submit", address, *shared)
    assert turned_away.returncode == 2, turned_away.stdout + turned_away.stderr
    assert "does not know the token" in turned_away.stderr

    doctor = mckd(cluster, tmp_path, "doctor", "--address", address, "--json")
    found = {check["check"]: check for check in json.loads(doctor.stdout)}
    assert {check["state"] for name, check in found.items() if name.startswith("Ray cluster")} == {"ok"}, found
    assert "2 nodes" in found["Ray cluster: nodes"]["found"]

    # Without an address a run starts a Ray of its own, also beside a cluster on this machine.
    alone = mckd(cluster, tmp_path, "run", "small.yaml", "-o", f"store.root={tmp_path / 'own'}")
    assert alone.returncode == 0, alone.stdout + alone.stderr
