"""`mckd serve` and `mckd predict` as processes: answers, a new model by SIGHUP, a calm end, and a killed prediction.

And `serve deploy`, with a file that `mckd serve --export` wrote.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from mckd_ray.cli import main
from mckd_ray.serving import Client, EndpointError
from mckd_ray.serving.models import find
from mckd_ray.serving.settings import TOKEN_VARIABLE
from tests.endpoint import trained
from tests.running import processes_below, wait_for
from tests.servers import free_port

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1200)]
SENTENCE = ["the", "cat", "sleeps"]
TREE = "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))"


def mckd(*arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)
    environment.pop(TOKEN_VARIABLE, None)
    command = [sys.executable, "-m", "mckd_ray.cli", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def metrics(url: str) -> str:
    return httpx2.get(f"{url}/metrics", timeout=60).text


def test_serve_answers_takes_a_new_model_and_ends_calmly(tmp_path: Path) -> None:
    link = tmp_path / "served"
    link.symlink_to(trained("constituency", 1))
    port = free_port()
    process = mckd("serve", str(link), "--port", str(port), "--json", "-o", "access_log=/dev/null")
    assert process.stdout is not None
    try:
        said = "".join(iter(process.stdout.readline, "}\n")) + "}"
        facts = json.loads(said[said.index("{\n") :])
        assert facts == {"url": f"http://127.0.0.1:{port}", "model": find(str(link)).id, "token": False}
        with Client(facts["url"]) as client:
            assert client.parse(SENTENCE)["output"] == TREE
            link.unlink()
            link.symlink_to(trained("constituency", 2))
            process.send_signal(signal.SIGHUP)
            new = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")["model"]
            assert new == client.parse(SENTENCE)["model"] == find(str(link)).id
        with ThreadPoolExecutor() as pool:
            body = {"inputs": [{"tokens": ["the"] * 256}] * 256}
            last = pool.submit(httpx2.post, f"{facts['url']}/v1/parse", json=body, timeout=300)
            wait_for(lambda: "_waiting{" in (text := metrics(facts["url"])) and "256.0" in text, process)
            process.send_signal(signal.SIGTERM)
            assert len(last.result().json()["results"]) == 256
        output, _ = process.communicate(timeout=300)
        assert (process.returncode, output) == (0, "")
    finally:
        process.kill()


def test_a_start_that_is_stopped_ends_calmly(tmp_path: Path) -> None:
    process = mckd("serve", str(trained("constituency")), "--port", str(free_port()), "-o", "access_log=/dev/null")
    started = wait_for(lambda: processes_below(process.pid, "ray::ServeController"), process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert (process.returncode, output.splitlines()[-1][:14]) == (130, "mckd: stopped;")
    assert not any(word in output for word in ("Traceback", "SIGTERM received"))
    assert not started[0].is_running()


@pytest.fixture
def cluster() -> Iterator[dict[str, str]]:
    """A Ray cluster of one node on this machine; gives the environment of those who use it."""
    script, state = ROOT / "cluster" / "local.sh", f"/tmp/mckd-serve-{os.getpid()}"
    settings = {"STATE": state, "PORT": "6387", "DASHBOARD": "8287", "NODES": "1", "CPUS": "4"}
    environment = {**os.environ, **{f"MCKD_CLUSTER_{name}": value for name, value in settings.items()}}
    environment["RAY"] = str(Path(sys.executable).with_name("ray"))
    try:
        subprocess.run([script, "up"], env=environment, check=True, timeout=300)
        guard = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{state}/token"}
        yield {**environment, **guard, "RAY_DASHBOARD_ADDRESS": "http://127.0.0.1:8287"}
    finally:
        subprocess.run([script, "down"], env=environment, check=True, timeout=120)


def test_serve_deploy_takes_the_exported_file_and_a_newer_one_costs_no_request(
    cluster: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    file, port, answered = tmp_path / "serve.yaml", free_port(), ""
    for model in (str(trained("constituency", seed)) for seed in (1, 2)):
        assert main(["serve", model, "--export", str(file), "--port", str(port), "-o", "access_log=/dev/null"]) == 0
        subprocess.run([Path(sys.executable).with_name("serve"), "deploy", file], env=cluster, check=True, timeout=120)
        end = time.monotonic() + 300
        with Client(f"http://127.0.0.1:{port}", attempts=1) as client:
            while answered != find(model).id:
                assert time.monotonic() < end, f"{model} does not answer"
                try:
                    answered = client.parse(SENTENCE)["model"]
                except EndpointError:
                    assert not answered, "a request failed during the update"


def test_a_killed_prediction_goes_on_where_it_was(tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    inputs = [["the", "cat"] * (1 + number % 20) for number in range(3000)]
    source.write_text(
        "".join(json.dumps({"id": f"i{place}", "tokens": one}) + "\n" for place, one in enumerate(inputs))
    )
    command = ("predict", str(trained("constituency")), "--input", str(source), "--output", str(output), "--json")
    first = mckd(*command)
    parts = tmp_path / "out.jsonl.parts"
    wait_for(lambda: list(parts.glob("answers-*/*.parquet")), first)
    ray = processes_below(first.pid, "")
    first.kill()
    for process in ray:
        process.kill()
    done = {path: path.stat().st_mtime_ns for path in parts.glob("answers-*/*.parquet")}
    assert not output.exists()
    second = mckd(*command)
    wait_for(lambda: len(list(parts.glob("answers-*/*.parquet"))) > len(done) or output.exists(), second)
    kept = {path: path.stat().st_mtime_ns for path in done if path.exists()}
    assert kept.items() <= done.items()
    said, _ = second.communicate(timeout=900)
    assert second.returncode == 0, said
    assert re.search(r'"rows": 3000', said)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(row["id"], row["tokens"]) for row in rows] == [(f"i{place}", one) for place, one in enumerate(inputs)]
    assert not parts.exists()
