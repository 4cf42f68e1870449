"""The client: a few lines to an annotation, batches, another try where the endpoint is busy, and errors in words."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.responses import JSONResponse

from mckd_ray.serving import AsyncClient, Client, EndpointError
from mckd_ray.serving.client import BATCH, IN_FLIGHT
from mckd_ray.serving.settings import TOKEN_VARIABLE
from tests.endpoint import app_of, live
from tests.servers import free_port

TREE = "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live(app_of(token="s3cret")) as address:
        yield address


class Busy:
    """An endpoint that answers `refusals` requests with 503 first."""

    def __init__(self, refusals: int, status: int = 503) -> None:
        self.refusals, self.status, self.asked = refusals, status, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        busy = self.asked <= self.refusals
        body = {"error": {"field": "text", "message": "come again"}} if busy else {"output": "(X a)"}
        response = JSONResponse(body, self.status if busy else 200, {"Retry-After": "0"} if busy else None)
        await response(scope, receive, send)


def test_a_text_and_tokens(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "s3cret")
    with Client(url) as client:
        assert client.parse("the cat sleeps")["output"] == TREE
        assert client.parse(["the", "cat", "sleeps"])["output"] == TREE
        assert client.model()["task"] == "constituency"


def test_many_inputs_come_back_in_order(url: str) -> None:
    inputs = [["the"] * (1 + number % 9) for number in range(2 * BATCH + 5)]

    async def go() -> list[int]:
        async with AsyncClient(url, "s3cret") as client:
            return [len(result["tokens"]) async for result in client.parse_many(inputs)]

    with Client(url, "s3cret") as client:
        assert [result["tokens"] for result in client.parse_many(inputs)] == inputs
    assert asyncio.run(go()) == [len(one) for one in inputs]


def test_inputs_are_read_no_further_than_needed(url: str) -> None:
    read: list[int] = []

    def inputs() -> Iterator[list[str]]:
        for number in range(100 * BATCH):
            read.append(number)
            yield ["the"]

    async def go() -> None:
        async with AsyncClient(url, "s3cret") as client:
            async for _ in client.parse_many(inputs()):
                break

    asyncio.run(go())
    assert len(read) <= (IN_FLIGHT + 1) * BATCH


def test_a_busy_endpoint_is_asked_again() -> None:
    with live(app := Busy(2)) as address, Client(address) as client:
        assert client.parse("a") == {"output": "(X a)"}
    assert app.asked == 3


def test_a_refusal_is_an_error_with_its_field_and_is_not_repeated() -> None:
    app, said = Busy(9, status=422), r"text: come again \(HTTP 422\)"
    with live(app) as address, Client(address) as client, pytest.raises(EndpointError, match=said) as caught:
        client.parse("a")
    assert (caught.value.status, caught.value.field, app.asked) == (422, "text", 1)


def test_the_last_attempt_tells_what_was_wrong() -> None:
    app = Busy(9)
    with live(app) as address, Client(address, attempts=2) as client, pytest.raises(EndpointError, match="HTTP 503"):
        client.parse("a")
    assert app.asked == 2
    nobody = f"http://127.0.0.1:{free_port()}"
    with Client(nobody, attempts=2) as client, pytest.raises(EndpointError, match="can't be reached"):
        client.parse("a")


def test_a_wrong_token_is_said(url: str) -> None:
    with Client(url, "nope") as client, pytest.raises(EndpointError, match="the token is wrong"):
        client.parse("a")
