"""A client of the endpoint, in a few lines.

    from mckd_ray.serving import Client

    with Client("http://localhost:8000") as client:
        print(client.parse("The cat sleeps.")["output"])
        for result in client.parse_many(sentences):
            ...

`AsyncClient` is the same with `await`. Inputs are strings (text) or lists of strings (tokens).
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx2

from mckd_ray.errors import MckdError
from mckd_ray.serving.settings import TOKEN_VARIABLE

Text = str | Sequence[str]
"""One input: a text, or its tokens."""
Result = dict[str, Any]
"""`mckd_ray.serving.schema.Result` as plain data."""
BATCH = 64
"""Inputs of a request of `parse_many`."""
IN_FLIGHT = 4
"""Requests of `AsyncClient.parse_many` at once."""
_TRANSIENT = frozenset({408, 502, 503, 504})


class EndpointError(MckdError):
    """The endpoint refused a request, or could not be reached."""

    def __init__(self, message: str, status: int = 0, field: str = "") -> None:
        """`status`: the HTTP status, 0 where there was no answer; `field`: the part of the request that is meant."""
        super().__init__(message, status, field)
        self.message, self.status, self.field = message, status, field

    def __str__(self) -> str:
        """The message, with what is known of it."""
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.message}" + (f" (HTTP {self.status})" if self.status else "")


class _Options:
    """What both clients have in common: settings, payloads, and when to try again."""

    def __init__(self, url: str, token: str | None, timeout: float, attempts: int) -> None:
        """See `Client`."""
        token = token if token is not None else os.environ.get(TOKEN_VARIABLE, "")
        self.settings: dict[str, Any] = {
            "base_url": url,
            "timeout": timeout,
            "headers": {"Authorization": f"Bearer {token}"} if token else {},
        }
        self.attempts = attempts

    def pause(self, attempt: int, response: httpx2.Response | None) -> float | None:
        """Seconds to wait before the next attempt, after `attempt` (from 1); None where there should be none."""
        if attempt >= self.attempts or (response is not None and response.status_code not in _TRANSIENT):
            return None
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        least = float(asked) if asked.isdecimal() else 0.0
        return max(least, random.random() * min(8.0, 0.25 * float(2**attempt)))


def _payload(given: Text) -> dict[str, Any]:
    return {"text": given} if isinstance(given, str) else {"tokens": list(given)}


def _body(response: httpx2.Response) -> dict[str, Any]:
    """The answer; raises EndpointError for a refusal."""
    try:
        body = response.json()
    except ValueError:
        raise EndpointError("the answer is not JSON: is this an endpoint of mckd_ray?", response.status_code) from None
    if response.is_success and isinstance(body, dict):
        return body
    error = body.get("error", {}) if isinstance(body, Mapping) else {}
    message = error.get("message") or "the request failed"
    raise EndpointError(message, response.status_code, error.get("field", ""))


def _unreachable(error: httpx2.HTTPError) -> EndpointError:
    return EndpointError(f"the endpoint can't be reached: {error or type(error).__name__}")


def _batches(inputs: Iterable[Text]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for given in inputs:
        batch.append(_payload(given))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


class Client:
    """A synchronous client; one thread at a time. Close it, or use it as a context."""

    def __init__(self, url: str, token: str | None = None, timeout: float = 60, attempts: int = 5) -> None:
        """`token`: by default that in MCKD_SERVE_TOKEN; `timeout`: in seconds, of each of at most `attempts` attempts.

        Busy endpoints (503), timeouts and lost connections are tried again, with growing pauses; parsing changes
        nothing, so that is safe.
        """
        self._options = _Options(url, token, timeout, attempts)
        self._http = httpx2.Client(**self._options.settings)

    def parse(self, given: Text) -> Result:
        """The annotation of one input. Raises EndpointError."""
        return self._request("POST", "/v1/parse", _payload(given))

    def parse_many(self, inputs: Iterable[Text]) -> Iterator[Result]:
        """The annotation of each input, in order; reads `inputs` no further than it has to. Raises EndpointError."""
        for batch in _batches(inputs):
            yield from self._request("POST", "/v1/parse", {"inputs": batch})["results"]

    def model(self) -> dict[str, Any]:
        """The model behind the endpoint. Raises EndpointError."""
        return self._request("GET", "/v1/model")

    def _request(self, method: str, path: str, json: object = None) -> dict[str, Any]:
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._http.request(method, path, json=json)
            except httpx2.TransportError as error:
                pause = self._options.pause(attempt, None)
                if pause is None:
                    raise _unreachable(error) from error
            else:
                pause = None if response.is_success else self._options.pause(attempt, response)
                if pause is None:
                    return _body(response)
            time.sleep(pause)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Close it."""
        self.close()


class AsyncClient:
    """The same for asyncio; several tasks may share it."""

    def __init__(self, url: str, token: str | None = None, timeout: float = 60, attempts: int = 5) -> None:
        """See `Client`."""
        self._options = _Options(url, token, timeout, attempts)
        self._http = httpx2.AsyncClient(**self._options.settings)

    async def parse(self, given: Text) -> Result:
        """The annotation of one input. Raises EndpointError."""
        return await self._request("POST", "/v1/parse", _payload(given))

    async def parse_many(self, inputs: Iterable[Text]) -> AsyncIterator[Result]:
        """The annotation of each input, in order, with a few requests in flight. Raises EndpointError."""
        running: list[asyncio.Task[dict[str, Any]]] = []
        try:
            for batch in _batches(inputs):
                running.append(asyncio.create_task(self._request("POST", "/v1/parse", {"inputs": batch})))
                if len(running) == IN_FLIGHT:
                    for result in (await running.pop(0))["results"]:
                        yield result
            while running:
                for result in (await running.pop(0))["results"]:
                    yield result
        finally:
            for task in running:
                task.cancel()

    async def model(self) -> dict[str, Any]:
        """The model behind the endpoint. Raises EndpointError."""
        return await self._request("GET", "/v1/model")

    async def _request(self, method: str, path: str, json: object = None) -> dict[str, Any]:
        attempt = 0
        while True:
            attempt += 1
            try:
                response = await self._http.request(method, path, json=json)
            except httpx2.TransportError as error:
                pause = self._options.pause(attempt, None)
                if pause is None:
                    raise _unreachable(error) from error
            else:
                pause = None if response.is_success else self._options.pause(attempt, response)
                if pause is None:
                    return _body(response)
            await asyncio.sleep(pause)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Close it."""
        await self.aclose()
