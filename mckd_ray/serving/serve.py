"""`mckd serve`: a model on Ray Serve until it is told to stop; and the config file that `serve deploy` takes."""

import contextlib
import ipaddress
import logging
import math
import os
import queue
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mckd_ray.errors import ConfigError, MckdError, StoreError
from mckd_ray.runner.session import connect, cores
from mckd_ray.serving.gate import LOCAL_HOSTS
from mckd_ray.serving.models import Model, find
from mckd_ray.serving.settings import SURGE_PERCENT, TOKEN_VARIABLE, ServingConfig
from mckd_ray.storage import is_uri

NAME = "mckd"
"""Of the Serve application."""
_QUIET = {"enable_access_log": False, "log_level": "WARNING"}
"""The ingress has an access log of its own."""


@dataclass(frozen=True)
class Address:
    """Where the endpoint listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """For a client on this machine."""
        shown = "localhost" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://[{shown}]:{self.port}" if ":" in shown else f"http://{shown}:{self.port}"


def secured(config: ServingConfig, address: Address, insecure: bool) -> ServingConfig:
    """`config` with the token demanded if the environment has one; without one, only loopback may be served.

    Raises ConfigError for another host without a token, unless `insecure` says that this is meant.
    """
    local = _loopback(address.host)
    if os.environ.get(TOKEN_VARIABLE):
        return config.model_copy(update={"token": True})
    if not local and not insecure:
        raise ConfigError(
            f"--host {address.host}: others could call the endpoint; set {TOKEN_VARIABLE} to a token that they must "
            f"send, for example `export {TOKEN_VARIABLE}={secrets.token_urlsafe(24)}`, or say --insecure."
        )
    hosts = config.hosts or (LOCAL_HOSTS if local else ())
    return config.model_copy(update={"token": False, "hosts": hosts})


def serve_model(config: ServingConfig, address: Address, tell: Callable[[Model], None], verbose: bool = False) -> None:
    """Serve until SIGINT or SIGTERM; then finish what has begun. SIGHUP serves what the config's model is by then.

    `tell` is called with the model whenever it answers. Raises ModelError, ConfigError, MckdError for a model that does
    not start, or KeyboardInterrupt where it is stopped before it answers.
    """
    model = find(config.model, config.system)
    _check_free(address)
    # Ray puts in a handler of its own when it starts.
    with _ray(config, verbose), _signals() as wanted, _application(config, address, verbose):
        tell(model)
        while wanted() == signal.SIGHUP:
            model = _update(config) or model
            tell(model)


def _update(config: ServingConfig) -> Model | None:
    """Exchange the replicas for the model of now; None, with a warning, where that can't be served."""
    try:
        deploy(config)
        return find(config.model, config.system)
    except MckdError as error:
        logging.getLogger(__name__).warning("the old model goes on: %s", error)
        return None


@contextlib.contextmanager
def serving(config: ServingConfig, address: Address) -> Iterator[None]:
    """The endpoint, for as long as the context lasts: on the cluster of RAY_ADDRESS, else on a local Ray."""
    with _ray(config), _application(config, address):
        yield


@contextlib.contextmanager
def _ray(config: ServingConfig, verbose: bool = False) -> Iterator[None]:
    """The cluster of RAY_ADDRESS, or a Ray of its own with room for the replicas, which ends with all that it runs."""
    import ray

    cluster = os.environ.get("RAY_ADDRESS")
    connect(
        address=cluster,
        num_cpus=None if cluster else max(cores(), _cpus(config)),
        include_dashboard=None if cluster else False,
        logging_level=logging.INFO if verbose else logging.ERROR,
        log_to_driver=verbose,
    )
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _application(config: ServingConfig, address: Address, verbose: bool = False) -> Iterator[None]:
    """The application on Serve, until what it has begun at the end of the context is finished."""
    from ray import serve  # Which sets the level of its logger.

    # Serve tells what it starts and stops; the greeting says what matters.
    logging.getLogger("ray.serve").setLevel(logging.INFO if verbose else logging.ERROR)
    serve.start(
        proxy_location="EveryNode" if os.environ.get("RAY_ADDRESS") else "HeadOnly",
        http_options={"host": address.host, "port": address.port},
        logging_config=_QUIET,
    )
    try:
        deploy(config)
        yield
    finally:
        serve.delete(NAME)  # The end of Ray alone would end the proxy before.


def deploy(config: ServingConfig) -> None:
    """Start the application, or bring a running one up to `config`: replica by replica, without a failed request."""
    from ray import serve

    from mckd_ray.serving.deployment import application

    built = application(config)
    try:
        serve.run(built, name=NAME, route_prefix="/", logging_config=_QUIET)
    except RuntimeError as error:
        reason = [line for line in str(error).strip().splitlines() if line.strip()][-1].strip()
        raise MckdError(f"{config.model}: the model did not start on Ray Serve: {reason}") from error


def write_serve_config(config: ServingConfig, address: Address, path: Path) -> None:
    """Write the file that `serve deploy` takes. Raises ModelError if there is no such model."""
    model = find(config.model, config.system)
    changed: dict[str, Any] = {
        "model": config.model if is_uri(config.model) else str(Path(config.model).resolve()),
        "version": model.id,
    }
    arguments = config.model_copy(update=changed).model_dump(mode="json", exclude_defaults=True)
    document = {
        "proxy_location": "EveryNode",
        "http_options": {"host": address.host, "port": address.port},
        "logging_config": _QUIET,
        "applications": [
            {
                "name": NAME,
                "route_prefix": "/",
                "import_path": "mckd_ray.serving.deployment:application",
                "args": arguments,
            }
        ],
    }
    head = f"# {model.id}. Deploy it by `serve deploy {path.name}`; deploying a newer one exchanges the replicas.\n"
    if config.token:
        head += f"# {TOKEN_VARIABLE} must be set in the environment of every node of the cluster.\n"
    try:
        path.write_text(head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: can't be written ({error.strerror}).") from error


def _cpus(config: ServingConfig) -> int:
    """What the replicas of a local endpoint ask for at most, those of an update included."""
    both = (config.replicas, config.ingress)
    return math.ceil(sum(some.cpus * (some.most + math.ceil(some.most * SURGE_PERCENT / 100)) for some in both))


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_free(address: Address) -> None:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        raise ConfigError(
            f"{address.host}:{address.port}: can't listen there ({error.strerror}); choose another --host or --port."
        ) from error


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[], int]]:
    """Gives a function that waits for the next SIGINT, SIGTERM or SIGHUP, and returns it.

    Before its first call, and once it has returned one that stops, SIGINT and SIGTERM raise KeyboardInterrupt.
    """
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    came: queue.SimpleQueue[int] = queue.SimpleQueue()
    patient = False

    def handle(number: int, _: object) -> None:
        if not patient and number != signal.SIGHUP:
            raise KeyboardInterrupt
        came.put(number)

    def wanted() -> int:
        nonlocal patient
        patient = True
        number = came.get()
        patient = number == signal.SIGHUP
        return number

    before = {kind: signal.signal(kind, handle) for kind in kinds}
    try:
        yield wanted
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
