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

    `tell` is called with the model whenever it answers. Raises ModelError, ConfigError, or MckdError for a model that
    does not start.
    """
    model = find(config.model, config.system)
    _check_free(address)
    with serving(config, address, verbose), _signals() as wanted:  # Ray puts a handler of its own in when it starts.
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
def serving(config: ServingConfig, address: Address, verbose: bool = False) -> Iterator[None]:
    """The endpoint, for as long as the context lasts: on the cluster of RAY_ADDRESS, else on a local Ray."""
    import ray
    from ray import serve

    cluster = os.environ.get("RAY_ADDRESS")
    connect(
        cluster,
        num_cpus=None if cluster else max(cores(), _cpus(config)),
        include_dashboard=None if cluster else False,
        logging_level=logging.INFO if verbose else logging.ERROR,
        log_to_driver=verbose,
    )
    # Serve tells what it starts and stops; the greeting says what matters.
    logging.getLogger("ray.serve").setLevel(logging.INFO if verbose else logging.ERROR)
    try:
        serve.start(
            proxy_location="HeadOnly" if not cluster else "EveryNode",
            http_options={"host": address.host, "port": address.port},
            logging_config=_QUIET,
        )
        deploy(config)
        yield
    finally:
        serve.delete(NAME)  # What has begun is finished; a mere shutdown would end the proxy before.
        if not cluster:
            serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


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
    """Gives a function that waits for the next SIGINT, SIGTERM or SIGHUP, and returns it."""
    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    came: queue.SimpleQueue[int] = queue.SimpleQueue()
    before = {kind: signal.signal(kind, lambda number, _: came.put(number)) for kind in kinds}
    try:
        yield came.get
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
