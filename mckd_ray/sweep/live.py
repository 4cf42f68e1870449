"""A sweep while it goes on: one table of its trials in a terminal, a line for each that ends elsewhere."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Record, Store
from mckd_ray.runner.progress import read_progress
from mckd_ray.sweep.sweep import Sweep
from mckd_ray.sweep.tables import SHOWN, STYLES
from mckd_ray.sweep.trials import Seen, Trial

INTERVAL_S = 1.0
Watch = Callable[[Sequence[Seen]], None]


@contextmanager
def watching(console: Console, sweep: Sweep) -> Iterator[Watch]:
    """A `watch` for `run_sweep` that shows on `console` what goes on."""
    lines = _Lines(console, sweep)
    if not console.is_terminal:
        yield lines
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        picture, drawn = _Picture(sweep), 0.0

        def watch(seen: Sequence[Seen]) -> None:
            nonlocal drawn
            lines(seen)
            if time.monotonic() - drawn >= INTERVAL_S:
                live.update(picture(seen), refresh=True)
                drawn = time.monotonic()

        yield watch


class _Lines:
    """A line for each trial that ends."""

    def __init__(self, console: Console, sweep: Sweep) -> None:
        self._console, self._sweep = console, sweep
        self._told: set[str] = set()

    def __call__(self, seen: Sequence[Seen]) -> None:
        for trial in seen:
            if trial.state not in ("waiting", "running") and (key := repr(trial.point)) not in self._told:
                self._told.add(key)
                point = ", ".join(f"{name} {value}" for name, value in trial.point.items())
                score = "" if trial.score is None else f": {trial.score:.1f}"
                reason = f" {trial.reason}" if trial.reason else ""
                ended = f" [{len(self._told)}/{max(len(seen), len(self._sweep.trials))}]"
                state = Text(f"{trial.state:>8} ", STYLES[trial.state])
                self._console.print(state + Text(f"{point}{score}{reason}") + Text(ended, "dim"), highlight=False)


class _Picture:
    """The table of the trials now. What it has read of the store once it doesn't read again."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._trials = {repr(trial.point): trial for trial in sweep.trials}
        self._pace = Pace(sweep.store, time.time())

    def __call__(self, seen: Sequence[Seen]) -> RenderableType:
        table = Table(title=f"{self._sweep.config.name}: {len(seen)} trials", title_justify="left")
        for column in ("state", *self._sweep.search.space, "stage", "score", "steps", "time left"):
            table.add_column(column, justify="left" if column == "state" else "right")
        for one in sorted(seen, key=lambda one: one.state != "running")[:SHOWN]:
            if (key := repr(one.point)) not in self._trials:  # One that optuna chose.
                self._trials[key] = self._sweep.planner.trial(one.point)
            trial = self._trials[key]
            settings = [str(one.point[name]) for name in self._sweep.search.space]
            score = "" if one.score is None else f"{one.score:.1f}"
            stage = f"{one.stage}/{len(trial.stages)}"
            state = Text(one.state, STYLES[one.state])
            table.add_row(state, *settings, stage, score, *self._left(one, trial))
        return table

    def _left(self, seen: Seen, trial: Trial) -> tuple[str, str]:
        left = self._pace.left(trial.steps)
        steps = f"{len(trial.steps) - len(left)}/{len(trial.steps)}"
        seconds = self._pace.seconds(left) if seen.state == "running" else None
        return steps, "" if seconds is None else f"{seconds:.0f} s"


class Pace:
    """How long steps take: by those of their kind that have ended since `started`, in seconds since the epoch."""

    def __init__(self, store: Store, started: float) -> None:
        """Nothing is known yet."""
        self._store, self._started = store, started
        self._records: dict[str, Record] = {}

    def left(self, steps: Sequence[Step]) -> list[Step]:
        """Those of `steps` that have no record yet."""
        unknown = {step.key for step in steps} - self._records.keys()
        found = self._store.records(unknown)
        self._records |= {key: record for key, record in found.items() if record is not None}
        return [step for step in steps if step.key not in self._records]

    def seconds(self, left: Sequence[Step]) -> float | None:
        """An estimate of what is left, at the present number of steps at a time; None before there is one."""
        work = [self._step_seconds(step) for step in left]
        known = [seconds for seconds in work if seconds is not None]
        if len(known) < len(work) or not work:
            return None
        fresh = [record.seconds for record in self._records.values() if record.started >= self._started]
        at_once = max(1.0, sum(fresh) / max(1.0, time.time() - self._started))
        return sum(known) / at_once

    def _step_seconds(self, step: Step) -> float | None:
        progress = read_progress(self._store.place(step.key))
        if progress is not None and progress.seconds_left is not None:
            return progress.seconds_left
        same = [record.seconds for record in self._records.values() if record.kind == step.kind]
        return statistics.fmean(same) if same else None
