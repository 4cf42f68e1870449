"""A bucket in an S3 server of this machine: moto's, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from tests.local_server import answering

NAME = "experiments"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key-of-a-test", "AWS_SECRET_ACCESS_KEY": "secret-of-a-test"}
_SERVE = "import sys; from moto.server import main; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"


def environment(port: int) -> dict[str, str]:
    """What a process has in its environment to reach the server on `port`."""
    return {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_REGION": "us-east-1"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def server(port: int, settings: dict[str, str] | None = None) -> Iterator[None]:
    """The server on `port`, with an empty bucket `NAME`, while the context lasts."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(port)],
        env={**os.environ, **(settings or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _make_bucket(port, process)
        yield
    finally:
        process.terminate()
        process.wait()


class Gateway(ThreadingHTTPServer):
    """Passes requests on to a server, or refuses them while it `refuses`."""

    daemon_threads = True
    refuses = False
    refused = 0
    """How many it has."""

    def __init__(self, to_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.to = f"http://127.0.0.1:{to_port}"

    @contextmanager
    def refusing(self) -> Iterator[None]:
        self.refuses = True
        try:
            yield
        finally:
            self.refuses = False


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gateway

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.refuses:
            self.server.refused += 1
            self.send_error(503, "Slow Down")
            return
        url = self.server.to + self.path
        answer = requests.request(self.command, url, headers=dict(self.headers), data=body, timeout=60)
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        length = answer.headers.get("Content-Length") if self.command == "HEAD" else len(answer.content)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass  # noqa: N815 - the names that the library calls

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def gateway(port: int) -> Iterator[Gateway]:
    """A gateway to the server on `port`, while the context lasts."""
    between = Gateway(port)
    with answering(between):
        yield between


def _make_bucket(port: int, process: "subprocess.Popen[bytes]") -> None:
    while True:
        try:
            requests.put(f"http://127.0.0.1:{port}/{NAME}", timeout=60).raise_for_status()
            return
        except requests.ConnectionError:
            assert process.poll() is None, "the server did not start"
            time.sleep(0.05)
