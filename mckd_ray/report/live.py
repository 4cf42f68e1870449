"""A run while it goes on: bars in a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mckd_ray.plan.steps import Step
from mckd_ray.runner.progress import Progress, read_progress
from mckd_ray.runner.reports import Report
from mckd_ray.runner.run import View


@contextmanager
def watching(console: Console) -> Iterator[Callable[[View], None]]:
    """A `watch` for `run` that shows on `console` what goes on."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        lines = _Lines(console)

        def watch(view: View) -> None:
            lines(view)
            live.update(picture(view))

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
        for step in view.graph.steps:
            report = view.reports.get(step.digest)
            if report is not None and step.digest not in self._told:
                self._told.add(step.digest)
                self._console.print(_line(step, report, len(view.reports), len(view.graph.steps)), highlight=False)


def _line(step: Step, report: Report, done: int, total: int) -> Text:
    style = {"done": "green", "reused": "green", "failed": "red", "skipped": "yellow"}[report.state]
    message = f": {report.message}" if report.message else ""
    return Text.assemble(
        (f"{report.state:>7} ", style), f"{step.name} ({report.seconds:.0f} s){message} ", (f"[{done}/{total}]", "dim")
    )


def picture(view: View) -> RenderableType:
    """The steps that run now, with how far they are and how long they will take, under a bar for the whole run."""
    done, total = len(view.reports), len(view.graph.steps)
    rows = Table.grid(padding=(0, 1))
    rows.add_row("all steps", ProgressBar(total, done, width=30), f"{done}/{total}", "")
    for step in view.graph.steps:
        if step.digest not in view.reports and view.store.busy(step.key):
            rows.add_row(step.name, *_bar(read_progress(view.store.place(step.key))))
    return rows


def _bar(progress: Progress | None) -> tuple[RenderableType, str, str]:
    if progress is None or not progress.total:
        return ProgressBar(total=None, width=30, pulse=True), "", ""
    left = progress.seconds_left
    estimate = "" if left is None else f"{left:.0f} s left"
    return (
        ProgressBar(progress.total, progress.done, width=30),
        f"{progress.done}/{progress.total}",
        f"{estimate} {progress.note}",
    )
