"""Small trained students behind the endpoint's app, in this process."""

import contextlib
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import uvicorn
from starlette.testclient import TestClient

from mckd_ray import student
from mckd_ray.config import TrainingConfig
from mckd_ray.serving.app import make_app
from mckd_ray.serving.backend import Backend, LocalBackend
from mckd_ray.serving.gate import Gate
from mckd_ray.serving.metrics import Metrics
from mckd_ray.serving.models import find
from mckd_ray.serving.settings import ServingConfig
from tests.servers import free_port
from tests.test_tagger import job_of, slot_rows, train, tree_rows

ROWS = {"constituency": tree_rows, "semantic": slot_rows}


@cache
def trained(task: str, seed: int = 1) -> Path:
    """The folder of a tagger that knows the rows of `tests.test_tagger`; trained once a process, in a second or two."""
    training = TrainingConfig(steps=80, batch_size=4, learning_rate=1e-2, dropout=0.0)
    folder = Path(mkdtemp(prefix=f"mckd-{task}-"))
    return train(job_of(folder, ROWS[task](), task, training=training, seed=seed))


def backend_of(task: str, config: ServingConfig) -> LocalBackend:
    """The trained tagger as a backend."""
    folder = trained(task)
    return LocalBackend(find(str(folder)), student.load(folder), config.batching)


def app_of(
    task: str = "constituency", backend: Backend | None = None, token: str | None = None, **settings: Any
) -> Gate:
    """The app in front of the trained tagger, or of `backend`; `settings` are those of `ServingConfig`."""
    config = ServingConfig.model_validate({"model": "test", "access_log": "/dev/null", **settings})
    gate = {"token": token, "hosts": config.hosts}
    return make_app(backend or backend_of(task, config), config, task, gate, Metrics("test"))


def client_of(task: str = "constituency", **settings: Any) -> TestClient:
    """A client of such an app; use it as a context, so that its requests share an event loop."""
    return TestClient(app_of(task, **settings))


@contextlib.contextmanager
def live(app: Any) -> Iterator[str]:
    """The address of a server of the app, in a thread of this process."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < end, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
