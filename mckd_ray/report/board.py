"""How far a run is, drawn: what `mckd run` shows while it goes on, and `mckd status` at any time."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mckd_ray.report.wording import duration

STYLES = {"done": "green", "running": "cyan", "failed": "red", "waiting": "dim"}
BAR = 8
"""The width of a bar."""


def status_table(now: Mapping[str, Any], most: int | None = None) -> RenderableType:
    """How far a run is, as a table of at most `most` lines: those that are done are left out first."""
    lines = now["lines"]
    if most is not None and len(lines) > most:
        lines = _fitting(lines, most)
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for column in ("", "part", "state", "", "score", "time"):
        table.add_column(column, no_wrap=True, justify="right" if column in ("score", "time") else "left")
    table.add_column("now", no_wrap=True, ratio=1)  # The only one that gives way in a narrow terminal.
    for line in lines:
        table.add_row(*_cells(line))
    hidden = len(now["lines"]) - len(lines)
    return Group(_head(now), table, *([Text(f"and {hidden} more lines", "dim")] if hidden else []))


def _fitting(lines: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    order = ("failed", "running", "waiting", "done")
    kept = sorted(range(len(lines)), key=lambda place: (order.index(lines[place]["state"]), place))[:most]
    return [lines[place] for place in sorted(kept)]


def _head(now: Mapping[str, Any]) -> Text:
    left = "" if now["seconds_left"] is None else f", about {duration(now['seconds_left'])} left"
    return Text.assemble((now["run"], "bold"), f": {now['done']} of {len(now['steps'])} steps done{left}")


def _cells(line: Mapping[str, Any]) -> list[RenderableType]:
    began = line["state"] != "waiting" or line["done"]
    time = duration(line["seconds"]) if line["state"] == "done" else ""
    if line["seconds_left"] is not None:
        time = f"{duration(line['seconds_left'])} left"
    return [
        line["what"],
        line["partition"],
        Text(line["state"], STYLES[line["state"]]),
        ProgressBar(line["steps"], line["done"], width=BAR) if began else "",
        "" if line["score"] is None else f"{line['score']:.1f}",
        time,
        line["note"],
    ]
