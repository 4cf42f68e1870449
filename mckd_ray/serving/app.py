"""The HTTP interface: a FastAPI app in front of whatever backend labels."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from mckd_ray import __version__
from mckd_ray.records import Label, Outcome
from mckd_ray.serving import bodies, schema
from mckd_ray.serving.annotations import completed, result_json
from mckd_ray.serving.backend import Backend, Labelled
from mckd_ray.serving.bulk import answer_lines
from mckd_ray.serving.gate import AccessLog, Gate
from mckd_ray.serving.inputs import Asked, InputReader
from mckd_ray.serving.metrics import CONTENT_TYPE, Metrics
from mckd_ray.serving.openapi import describe
from mckd_ray.serving.page import page
from mckd_ray.serving.refusals import RefusedError
from mckd_ray.serving.settings import ServingConfig
from mckd_ray.serving.tokenise import tokenise

JSON_TYPES = ("application/json",)
LINE_TYPES = ("application/x-ndjson", "application/jsonl", "application/jsonlines")
READY_S = 5.0
_WARM = "It rains."
LARGE_BODY = 1 << 15
"""Bodies beyond so many bytes are read in a thread, so that others don't wait for it."""


class LineResponse(Response):
    """Lines as they come. Unlike starlette's own, it leaves the request's body to whoever makes the lines."""

    media_type = LINE_TYPES[0]

    def __init__(self, content: AsyncGenerator[bytes]) -> None:
        """`content`: some lines at a time."""
        self.status_code, self.background, self._lines = 200, None, content
        self.init_headers({"Content-Type": self.media_type})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        async with aclosing(self._lines) as some:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for part in some:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


class Endpoint:
    """The handlers, and what they share."""

    def __init__(self, backend: Backend, config: ServingConfig, task: str, metrics: Metrics) -> None:
        """`task`: of the model that the backend has."""
        self._backend, self._config, self._limits, self._task = backend, config, config.limits, task
        self._metrics = metrics
        self._reader = InputReader(task, config.limits)
        self._waiting = self._streams = 0
        self._page, self._policy = page()
        tokenise(_WARM, task)

    async def parse(self, request: Request) -> Response:
        """Annotate one input, or several."""
        bodies.check_type(request, JSON_TYPES)
        body = await bodies.whole(request, self._limits.body_bytes, self._limits.body_s)
        started = time.perf_counter()
        read = self._reader.request
        asked = await asyncio.to_thread(read, body) if len(body) > LARGE_BODY else read(body)
        with self._room(len(asked.inputs)):
            labelled, results = await self._answer(asked.inputs, request)
        first = labelled.labels[0]
        if asked.single and first.outcome is Outcome.FAILED:
            raise RefusedError(422, first.reason, "tokens" if asked.inputs[0].spans is None else "text")
        head = f'{{"model": {json.dumps(labelled.model.id)}, "seconds": {time.perf_counter() - started:.4f}, '
        whole = f"{head}{results[0][1:]}" if asked.single else f'{head}"results": [{", ".join(results)}]}}'
        return Response(whole.encode(), media_type="application/json")

    async def bulk(self, request: Request) -> Response:
        """Annotate a line of JSON after the other: an input in, a result out, in order."""
        bodies.check_type(request, LINE_TYPES)
        if self._streams >= self._limits.bulk_streams:
            raise RefusedError(503, f"{self._streams} bulk requests are being answered; come again", headers=_later())
        chunks = bodies.parts(request, self._limits.bulk_bytes, self._limits.body_s)

        async def answer(asked: Sequence[Asked]) -> list[str]:
            return (await self._answer(asked, request))[1]

        async def stream() -> AsyncGenerator[bytes]:
            self._streams += 1
            try:
                async for part in answer_lines(chunks, self._reader, self._limits.body_bytes, answer):
                    yield part
            finally:
                self._streams -= 1

        return LineResponse(stream())

    async def model(self) -> JSONResponse:
        """The model that is served, and what it takes."""
        model = await self._backend.model()
        about = {key: value for key, value in model.manifest.items() if value not in (None, "", {})}
        info = {
            "id": model.id,
            "name": model.name,
            "task": model.task,
            "kind": model.kind,
            "linearisation": model.linearisation,
            "constrained": model.constrained,
            "about": about,
            "limits": self._limits.model_dump(),
            "examples": list(self._config.examples_for(model.task)),
        }
        return JSONResponse(info)

    async def healthz(self) -> JSONResponse:
        """Whether this process answers."""
        return JSONResponse({"status": "ok"})

    async def readyz(self) -> JSONResponse:
        """Whether a model answers."""
        try:
            await asyncio.wait_for(self._backend.model(), READY_S)
        except (RefusedError, TimeoutError):
            raise RefusedError(503, "no model answers yet", headers=_later()) from None
        return JSONResponse({"status": "ready"})

    async def metrics(self) -> Response:
        """Counters for Prometheus."""
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

    async def front(self) -> HTMLResponse:
        """A page to try the model."""
        return HTMLResponse(self._page, headers={"Content-Security-Policy": self._policy})

    @contextmanager
    def _room(self, count: int) -> Iterator[None]:
        """Room for `count` inputs that wait. Raises RefusedError where there is none."""
        if self._waiting + count > self._limits.waiting and self._waiting:
            raise RefusedError(503, f"{self._waiting} inputs wait already; come again", headers=_later())
        self._waiting += count
        self._metrics.waiting(self._waiting)
        try:
            yield
        finally:
            self._waiting -= count
            self._metrics.waiting(self._waiting)

    async def _answer(self, asked: Sequence[Asked], request: Request) -> tuple[Labelled, list[str]]:
        """The label of each input, with an annotation where it can be, and its result as JSON. Raises RefusedError."""
        try:
            labelling = self._backend.label([one.example for one in asked])
            labelled = await asyncio.wait_for(labelling, self._limits.request_s)
        except TimeoutError:
            raise RefusedError(504, f"no answer within {self._limits.request_s:g} s", headers=_later()) from None
        task, linearisation = labelled.model.task, labelled.model.linearisation
        given = zip(asked, labelled.labels, strict=True)
        labels = [completed(label, one, task, linearisation) for one, label in given]
        self._note(asked, labels, labelled.model.id, request)
        results = [result_json(one, label, task, linearisation) for one, label in zip(asked, labels, strict=True)]
        return Labelled(labels, labelled.model), results

    def _note(self, asked: Sequence[Asked], labels: Sequence[Label], model: str, request: Request) -> None:
        """Count the answers, for `/metrics` and for the request's line in the access log."""
        facts: dict[str, Any] = request.state.facts
        outcomes = facts.setdefault("outcomes", Counter())
        for one, label in zip(asked, labels, strict=True):
            tokens = len(one.example.tokens)
            self._metrics.answered(label.outcome.value, tokens)
            outcomes[label.outcome.value] += 1
            facts["tokens"] = facts.get("tokens", 0) + tokens
        facts["model"] = model


def make_app(backend: Backend, config: ServingConfig, task: str, gate: Mapping[str, Any], metrics: Metrics) -> Gate:
    """The ASGI app; `gate`: the token and the hosts that `Gate` demands."""
    endpoint = Endpoint(backend, config, task, metrics)
    app = FastAPI(title="mckd_ray", version=__version__, docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.post("/v1/parse", responses=_answers(schema.ParseOne | schema.ParseMany, 400, 408, 413, 415, 422, 503, 504))(
        endpoint.parse
    )
    app.post("/v1/parse/bulk", responses=_answers(None, 400, 413, 415, 503))(endpoint.bulk)
    app.get("/v1/model", responses=_answers(schema.ModelInfo, 503))(endpoint.model)
    app.get("/healthz", responses=_answers(schema.State))(endpoint.healthz)
    app.get("/readyz", responses=_answers(schema.State, 503))(endpoint.readyz)
    app.get("/metrics", response_class=Response)(endpoint.metrics)
    app.get("/", include_in_schema=False)(endpoint.front)
    app.add_exception_handler(RefusedError, _refuse)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _broken)
    describe(app)
    if config.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    paths = [route.path for route in app.routes if hasattr(route, "path")]
    return Gate(app, paths, metrics, AccessLog(config.access_log), **gate)


def _answers(model: Any, *refusals: int) -> dict[int | str, dict[str, Any]]:
    """What an operation may answer, for the OpenAPI document."""
    codes = (401, 421, 500, *refusals)
    errors: dict[int | str, dict[str, Any]] = {code: {"model": schema.ErrorBody} for code in codes}
    return {**({200: {"model": model}} if model else {}), **errors}


def _later() -> dict[str, str]:
    return {"Retry-After": "1"}


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        raise error
    return JSONResponse(error.as_data(), error.status, error.headers)


async def _no_route(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    allowed = (error.headers or {}).get("Allow", "")
    message = f"this path takes {allowed} only" if error.status_code == 405 else "there is nothing at this path"
    refusal = RefusedError(error.status_code, message, "method" if error.status_code == 405 else "path", error.headers)
    return JSONResponse(refusal.as_data(), refusal.status, refusal.headers)


async def _broken(request: Request, error: Exception) -> Response:
    """An error of ours; the gate logs it."""
    wrong = RefusedError(500, f"something went wrong here; the log has it under {request.state.request}")
    return JSONResponse(wrong.as_data(), wrong.status)


async def _gone(request: Request, error: Exception) -> Response:
    """The client has left; nobody reads this."""
    return Response(status_code=400)
