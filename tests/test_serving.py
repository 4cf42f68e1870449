"""The endpoint on Ray Serve: it answers, keeps out who has no token, and loses no request when replicas come and go."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx2
import psutil
import pytest

from mckd_ray.serving import Client
from mckd_ray.serving.models import find
from mckd_ray.serving.serve import Address, deploy, secured, serving
from mckd_ray.serving.settings import TOKEN_VARIABLE, ServingConfig
from tests.endpoint import trained
from tests.running import processes_below
from tests.servers import free_port
from tests.test_serving_http import BAD, JSON

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
TOKEN = "correct-horse"
SENTENCE = ["a", "dog", "sees", "the", "cat"]
TREE = "(S (NP (DT a) (NN dog)) (VP (VBZ sees) (NP (DT the) (NN cat))))"


def config_of(seed: int) -> ServingConfig:
    model = str(trained("constituency", seed))
    replicas, limits = {"least": 2, "most": 2, "cpus": 0.5}, {"body_s": 1}
    settings = {"model": model, "replicas": replicas, "limits": limits, "access_log": "/dev/null"}
    return ServingConfig.model_validate(settings)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An endpoint with two replicas of the model, behind a token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TOKEN_VARIABLE, TOKEN)
        patch.delenv("RAY_ADDRESS", raising=False)
        address = Address("127.0.0.1", free_port())
        with serving(secured(config_of(1), address, insecure=False), address):
            yield address.url


@dataclass
class Load:
    """Clients that ask without a pause, and never twice for the same: what was answered, and what went wrong."""

    url: str
    models: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def during(self, disturbance: Callable[["Load"], None], clients: int = 6) -> None:
        stop = threading.Event()
        with ThreadPoolExecutor(clients) as pool:
            asking = [pool.submit(self._ask, stop) for _ in range(clients)]
            try:
                self.until_answered(20)
                disturbance(self)
                self.until_answered(20)
            finally:
                stop.set()
            for one in asking:
                one.result()

    def until_answered(self, more: int) -> None:
        wanted = len(self.models) + more
        wait_for(lambda: len(self.models) >= wanted or self.failures)

    def _ask(self, stop: threading.Event) -> None:
        with httpx2.Client(timeout=120, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            while not stop.is_set():
                try:
                    answer = http.post(f"{self.url}/v1/parse", json={"tokens": SENTENCE})
                except httpx2.HTTPError as error:
                    self.failures.append(repr(error))
                    return
                if not answer.is_success or answer.json()["output"] != TREE:
                    self.failures.append(f"{answer.status_code} {answer.text}")
                    return
                self.models.append(answer.json()["model"])


def wait_for(condition: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def replicas() -> dict[int, psutil.Process]:
    return {process.pid: process for process in processes_below(os.getpid(), "ServeReplica:mckd:model")}


def test_a_sentence_is_parsed_over_http(url: str) -> None:
    with Client(url, token=TOKEN) as client:
        assert client.parse(SENTENCE)["output"] == TREE
        assert client.parse(" ".join(SENTENCE))["spans"][1] == [2, 5]
        assert client.model()["id"] == find(str(trained("constituency"))).id
        many = list(client.parse_many([SENTENCE] * 150))
    assert [one["output"] for one in many] == [TREE] * 150
    assert httpx2.get(f"{url}/readyz", timeout=60).json() == {"status": "ready"}


def test_nobody_without_the_token_gets_in(url: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert httpx2.post(f"{url}/v1/parse", json={"text": "a"}, headers=headers, timeout=60).status_code == 401


def test_bad_input_is_refused_through_serve_too(url: str) -> None:
    headers = {**JSON, "Authorization": f"Bearer {TOKEN}"}
    with httpx2.Client(timeout=60, headers=headers) as http:
        answers = {case: http.post(f"{url}/v1/parse", content=body) for case, (body, *_) in BAD.items()}
    refused = {case: (answer.status_code, answer.json()["error"]["field"]) for case, answer in answers.items()}
    assert refused == {case: (status, field) for case, (_, status, field, _) in BAD.items()}


def test_a_body_that_does_not_arrive_is_not_waited_for(url: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    head = f"POST /v1/parse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f'{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"text"'.encode())
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408")


def test_bulk_lines_pass_through_serve(url: str) -> None:
    lines = b'{"tokens": ["the", "cat", "sleeps"]}\n' * 500
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-ndjson"}
    answer = httpx2.post(f"{url}/v1/parse/bulk", content=lines, headers=headers, timeout=120)
    assert answer.status_code == 200
    assert len(answer.text.splitlines()) == 500


def test_a_killed_replica_costs_no_request(url: str) -> None:
    def kill(load: Load) -> None:
        before = replicas()
        os.kill(min(before), signal.SIGKILL)
        load.until_answered(20)
        wait_for(lambda: len(replicas()) == len(before) and replicas().keys() != before.keys())

    load = Load(url)
    load.during(kill)
    assert load.failures == []


def test_a_rolling_update_costs_no_request(url: str) -> None:
    old, new = (find(str(trained("constituency", seed))).id for seed in (1, 2))
    load = Load(url)
    load.during(lambda _: deploy(config_of(2).model_copy(update={"token": True})))
    assert load.failures == []
    assert (load.models[0], load.models[-1]) == (old, new)
