"""A bucket in an S3 server of this machine: moto's, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests

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


def _make_bucket(port: int, process: "subprocess.Popen[bytes]") -> None:
    while True:
        try:
            requests.put(f"http://127.0.0.1:{port}/{NAME}", timeout=60).raise_for_status()
            return
        except requests.ConnectionError:
            assert process.poll() is None, "the server did not start"
            time.sleep(0.05)
