"""A run while it goes on: a table of stages and partitions in a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from mckd_ray.plan.steps import Step
from mckd_ray.report.board import status_table
from mckd_ray.report.status import Watched
from mckd_ray.runner.reports import Report
from mckd_ray.runner.run import View

INTERVAL_S = 1.0
BESIDE = 4
"""Lines of the terminal that are not the table's."""


@contextmanager
def watching(console: Console) -> Iterator[Callable[[View], None]]:
    """A `watch` for `run` that shows on `console` what goes on."""
    lines = _Lines(console)
    if not console.is_terminal:
        yield lines
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        picture, drawn = _Picture(), 0.0

        def watch(view: View) -> None:
            nonlocal drawn
            lines(view)
            if time.monotonic() - drawn >= INTERVAL_S:
                live.update(picture(view, console.height - BESIDE), refresh=True)
                drawn = time.monotonic()

        yield watch


class _Lines:
    """A line for each step that ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[str] = set()

    def __call__(self, view: View) -> None:
        reused = [report for report in view.reports.values() if report.state == "reused"]
        if not self._told and reused:
            self._console.print(f"{len(reused)} steps have been done before and are reused.")
            self._told.update(report.digest for report in reused)
        for step in view.steps:
            report = view.reports.get(step.digest)
            if report is not None and step.digest not in self._told:
                self._told.add(step.digest)
                self._console.print(_line(step, report, len(self._told), len(view.steps)), highlight=False)


def _line(step: Step, report: Report, done: int, total: int) -> Text:
    style = {"done": "green", "reused": "green", "failed": "red", "skipped": "yellow"}[report.state]
    message = f": {report.message}" if report.message else ""
    return Text.assemble(
        (f"{report.state:>7} ", style), f"{step.name} ({report.seconds:.0f} s){message} ", (f"[{done}/{total}]", "dim")
    )


class _Picture:
    """What `mckd status` shows of the run."""

    def __init__(self) -> None:
        self._watched: Watched | None = None

    def __call__(self, view: View, most: int) -> RenderableType:
        self._watched = self._watched or Watched(view.config.name, [step.as_data() for step in view.steps], view.store)
        reports = [(step.key, view.reports.get(step.digest)) for step in view.steps]
        failed = {key: report.message for key, report in reports if report is not None and report.state == "failed"}
        return status_table(self._watched.now(failed), most)
