"""What every request passes: the token, the host, security headers, the access log, and the net under all errors."""

import hmac
import json
import logging
import sys
import time
import traceback
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mckd_ray.serving.metrics import Metrics
from mckd_ray.serving.refusals import RefusedError

OPEN = frozenset({"/", "/healthz", "/readyz"})
"""What needs no token: the page, which asks for it, and what probes call."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_LOG = logging.getLogger(__name__)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class AccessLog:
    """A line of JSON for each request, never with what was in it."""

    def __init__(self, path: str) -> None:
        """`path`: the file to append to; empty for standard error."""
        self._stream = Path(path).open("a", encoding="utf-8") if path else sys.stderr  # noqa: SIM115

    def write(self, entry: Mapping[str, Any]) -> None:
        """Write one line, at once, so that the lines of several processes don't mix."""
        self._stream.write(json.dumps(entry) + "\n")
        self._stream.flush()


@dataclass
class Gate:
    """ASGI middleware around the whole app."""

    app: ASGIApp
    paths: Sequence[str]
    """The app's own; a log that held others would hold what clients write into them."""
    metrics: Metrics
    log: AccessLog
    token: str | None = None
    hosts: Sequence[str] = ()
    """Names that the endpoint may be called by; any where empty. Other names are how a page elsewhere, by rebinding
    its own name to 127.0.0.1, would reach an endpoint without a token."""
    _digest: bytes | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Keep the token as bytes."""
        self._digest = None if self.token is None else self.token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await _Passage(self, scope, receive, send).go()

    def refusal(self, scope: Scope) -> RefusedError | None:
        """Why the request may not pass."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self.hosts and name.lower() not in self.hosts:
            return RefusedError(421, "this endpoint is not known by that name; call it by localhost", "Host")
        if self._digest is None or scope["path"] in OPEN or scope["method"] == "OPTIONS":
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), self._digest):
            return None
        why = "the token is wrong" if given else "a token is needed: send the header `Authorization: Bearer TOKEN`"
        return RefusedError(401, why, "Authorization", {"WWW-Authenticate": "Bearer"})


class _Passage:
    """One request on its way through the gate."""

    def __init__(self, gate: Gate, scope: Scope, receive: Receive, send: Send) -> None:
        self._gate, self._scope, self._receive, self._outer = gate, scope, receive, send
        self._id, self._status, self._bytes = uuid.uuid4().hex, 0, 0
        self._whole = False
        """Whether the response has gone out to its end."""
        self._facts: dict[str, Any] = {}
        scope.setdefault("state", {}).update(facts=self._facts, request=self._id)

    async def go(self) -> None:
        """Answer the request, or refuse it, and log which."""
        started = time.perf_counter()
        try:
            refusal = self._gate.refusal(self._scope)
            if refusal is None:
                await self._gate.app(self._scope, self._receive, self._send)
            else:
                response = JSONResponse(refusal.as_data(), refusal.status, refusal.headers)
                await response(self._scope, self._receive, self._send)
        except Exception as error:
            # Without the error's own words, which may hold the client's.
            where = "".join(traceback.format_tb(error.__traceback__))
            _LOG.error("%s in request %s\n%s", type(error).__name__, self._id, where)
            if not self._whole:
                raise
        finally:
            self._note(time.perf_counter() - started)

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = self._id
        else:
            self._bytes += len(message.get("body", b""))
        await self._outer(message)
        self._whole = message["type"] == "http.response.body" and not message.get("more_body", False)

    def _note(self, seconds: float) -> None:
        path = self._scope["path"] if self._scope["path"] in self._gate.paths else "other"
        self._gate.metrics.request(path, self._status, seconds)
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "request": self._id,
            "method": self._scope["method"],
            "path": path,
            "status": self._status,
            "seconds": round(seconds, 4),
            "bytes": self._bytes,
            **self._facts,
        }
        self._gate.log.write(entry)
