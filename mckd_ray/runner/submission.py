"""An experiment as a Ray job: what is sent to the cluster, its log as it comes, and how it ends."""

import asyncio
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient
from ray.util.state import list_nodes

import mckd_ray
from mckd_ray.config import DATA_SCHEME, ExperimentConfig
from mckd_ray.config_file import write_config
from mckd_ray.errors import ConfigError, ResourceError
from mckd_ray.runner.placement import Node
from mckd_ray.storage import is_uri

POLL_S = 1.0
PATIENCE = 60
"""How often the state of a job is asked for before the cluster counts as gone."""
INTERRUPTED = 130
"""The exit status of a command that was told to stop, which does not stop its job."""
INPUTS = "inputs"
"""The folder of the job in which the files are that are sent with it."""
Pack = Callable[[Path], Sequence[str]]
"""Writes what a job needs into its folder, and returns the words of its command behind `mckd`."""
MOST_NODES = 10_000
STRANGER_S = 10.0
_PATHS = (
    ("corpus", "path"),
    ("corpus", "general", "path"),
    ("teacher", "model"),
    ("teacher", "template"),
    ("teacher", "student", "model"),
    ("student", "model"),
)
"""The keys of a config that may name a file or folder."""


@dataclass(frozen=True)
class Job:
    """A submitted job. `status` is Ray's word for it; `exit_status` is None as long as it may go on."""

    id: str
    status: str
    exit_status: int | None = None


def submit(name: str, pack: Pack, address: str, wait: bool, show: Callable[[str], None]) -> Job:
    """Have the cluster at `address` do the command of `mckd` that `pack` prepares, by this very code.

    `name` is what the job is called; `show` gets its log as it comes. Returns when the job has ended, or at once if not
    to `wait`. The end of this process does not end the job. Raises what `pack` raises, ResourceError where no cluster
    takes it.
    """
    with tempfile.TemporaryDirectory(prefix="mckd-job-") as temporary:
        folder = Path(temporary)
        command = pack(folder)
        client = connect(address)
        with _explained(address):
            job = client.submit_job(
                entrypoint=shlex.join(["python", "-m", "mckd_ray.cli", *command]),
                entrypoint_num_cpus=0,  # The driver only waits.
                runtime_env={
                    "working_dir": str(folder),
                    "py_modules": [str(Path(mckd_ray.__file__).parent)],
                    "env_vars": {"PYTHONUNBUFFERED": "1"},
                },
                metadata={"mckd": name},
            )
    show(f"job {job} on {address}; `ray job logs|status|stop {job}` see to it from anywhere\n")
    with _explained(address):
        return _follow(client, job, show) if wait else Job(job, str(client.get_job_status(job).value))


def package(config: ExperimentConfig, folder: Path) -> Path:
    """Write into `folder` all that a job of `config` needs, and return the path of its config there.

    Files and folders that the config names by a relative path go along; absolute paths, and corpora of `mckd data get`,
    are the cluster's own. Raises ConfigError if the results would lie in the folder of the job, which Ray deletes.
    """
    if not is_uri(config.store.root) and not Path(config.store.root).is_absolute():
        raise ConfigError(
            f"store.root is '{config.store.root}', below the folder of the job, which the cluster deletes; give the "
            "absolute path of a folder that all its nodes share, such as -o store.root=/shared/runs, or a bucket's URI."
        )
    values = config.model_dump(mode="json")
    for number, keys in enumerate(_PATHS):
        section: Any = values
        for key in keys[:-1]:
            section = (section or {}).get(key)
        path = _own_path((section or {}).get(keys[-1], ""))
        if path is not None:
            target = folder / INPUTS / f"{number}-{path.resolve().name}"
            target.parent.mkdir(exist_ok=True)
            (shutil.copytree if path.is_dir() else shutil.copy2)(path, target)
            section[keys[-1]] = str(target.relative_to(folder))
    config_file = folder / f"{config.name}.yaml"
    write_config(ExperimentConfig.model_validate(values), config_file)
    return config_file


def _own_path(value: str) -> Path | None:
    """The path that `value` names on this machine alone; None for a hub's name and for paths of the cluster."""
    path = Path(value)
    here = value and not value.startswith(DATA_SCHEME) and not path.is_absolute() and path.exists()
    return path if here else None


def connect(address: str) -> JobSubmissionClient:
    """A client of the cluster whose dashboard is at `address`. Raises ConfigError, ResourceError."""
    if not address.startswith(("http://", "https://")):
        raise ConfigError(f"'{address}' is no address of a dashboard; give one such as http://127.0.0.1:8265.")
    with _explained(address), _environment(_ours(address)):
        return JobSubmissionClient(address)


def _ours(address: str) -> dict[str, str]:
    """What makes Ray take `address`, whatever the environment names, and send a token unless told not to."""
    return {"RAY_API_SERVER_ADDRESS": address, "RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token")}


@dataclass(frozen=True)
class Cluster:
    """What a cluster shows of itself."""

    ray: str
    """Its version of Ray."""
    nodes: tuple[Node, ...]
    """Those that are alive."""
    guarded: bool
    """Whether it turns away who has no token."""


def look_at(address: str) -> Cluster:
    """The cluster whose dashboard is at `address`. Raises ConfigError, ResourceError."""
    client = connect(address)
    with _explained(address), _environment(_ours(address)):
        nodes = list_nodes(address, filters=[("state", "=", "ALIVE")], limit=MOST_NODES)
        stranger = requests.get(f"{address.rstrip('/')}/api/jobs/", timeout=STRANGER_S)
    return Cluster(
        str(client._server_ray_version),
        tuple(Node(node.resources_total, node.labels) for node in nodes),
        stranger.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN),
    )


class _Log:
    """The log of a job. Each connection tells all of it from the beginning; `show` gets each part once."""

    def __init__(self, client: JobSubmissionClient, job: str, show: Callable[[str], None]) -> None:
        self._client, self._job, self._show = client, job, show
        self._shown = 0

    async def follow(self) -> None:
        """Show what is new until the log ends. Raises what a broken connection raises."""
        seen = 0
        async for text in self._client.tail_job_logs(self._job):
            fresh = text[max(0, self._shown - seen) :]
            seen += len(text)
            self._shown = max(self._shown, seen)
            if fresh:
                self._show(fresh)


def _follow(client: JobSubmissionClient, job: str, show: Callable[[str], None]) -> Job:
    log = _Log(client, job, show)
    try:
        while True:
            with suppress(aiohttp.ClientError, OSError, RuntimeError):  # The connection's end is not the job's.
                asyncio.run(log.follow())
            details = _details(client, job)
            if details.status.is_terminal():
                exit_status = 0 if details.status is JobStatus.SUCCEEDED else details.driver_exit_code or 1
                return Job(job, str(details.status.value), exit_status)
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        show(f"\njob {job} goes on; `ray job stop {job}` ends it\n")
        return Job(job, str(client.get_job_status(job).value), INTERRUPTED)


def _details(client: JobSubmissionClient, job: str) -> JobDetails:
    """What is known of the job; asked for again for a while where the network is away."""
    for _ in range(PATIENCE):
        with suppress(OSError):
            return client.get_job_info(job)
        time.sleep(POLL_S)
    return client.get_job_info(job)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Tell in one sentence why the cluster did not do what it was asked."""
    try:
        yield
    except AuthenticationError as error:
        raise ResourceError(
            f"{address}: the cluster does not know the token; set RAY_AUTH_TOKEN_PATH to the file with its token, or "
            "RAY_AUTH_MODE=disabled for a cluster without tokens."
        ) from error
    except OSError as error:  # What `requests` raises is one, too.
        raise ResourceError(f"{address}: no Ray cluster answers there ({error}); mend the address.") from error
    except RuntimeError as error:
        reason = next(iter(str(error).strip().splitlines()), "no reason given")
        raise ResourceError(f"{address}: the cluster refused: {reason}") from error
