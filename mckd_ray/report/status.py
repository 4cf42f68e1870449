"""How far a run is, as seen from its folder and the store alone: from another terminal, or another machine."""

import json
from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from mckd_ray.errors import DataError
from mckd_ray.plan.store import Record, Store
from mckd_ray.runner.perform import ERROR
from mckd_ray.runner.progress import read_progress
from mckd_ray.runner.run import PLAN
from mckd_ray.storage.root import Place

STYLES = {"done": "green", "running": "cyan", "failed": "red", "waiting": "dim"}


def status(place: Place) -> dict[str, Any]:
    """The state of each step of the run at `place`. Raises DataError if there is no run."""
    text = (place / PLAN).read()
    if text is None:
        raise DataError(f"{place}: is not the folder of a run; give one such as runs/demo, which `mckd run` makes.")
    plan = json.loads(text)
    store = Store(plan["store"])
    records = store.records(step["key"] for step in plan["steps"])
    names = {step["key"]: step["name"] for step in plan["steps"]}
    steps = [{"name": name, "key": key, **_state(store, key, records[key])} for key, name in names.items()]
    return {"run": place.name, "done": sum(step["state"] == "done" for step in steps), "steps": steps}


def _state(store: Store, key: str, record: Record | None) -> dict[str, Any]:
    if record is not None:
        return {"state": "done", "seconds": record.seconds, "note": ""}
    if store.busy(key):
        progress = read_progress(store.place(key))
        note = f"{progress.done}/{progress.total} {progress.note}" if progress else ""
        return {"state": "running", "seconds": None, "note": note}
    error = (store.place(key) / ERROR).read()
    if error is not None:
        return {"state": "failed", "seconds": None, "note": error.strip().splitlines()[-1]}
    return {"state": "waiting", "seconds": None, "note": ""}


def status_table(now: Mapping[str, Any]) -> RenderableType:
    """`status` as a table."""
    steps = now["steps"]
    table = Table(title=f"{now['run']}: {now['done']} of {len(steps)} steps done", title_justify="left")
    for column in ("state", "step", "time", "how far"):
        table.add_column(column)
    for step in steps:
        seconds = "" if step["seconds"] is None else f"{step['seconds']:.0f} s"
        table.add_row(f"[{STYLES[step['state']]}]{step['state']}", step["name"], seconds, step["note"])
    return table
