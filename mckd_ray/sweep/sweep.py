"""A sweep from its config to its table, its best config and its plots."""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mckd_ray.config import ExperimentConfig
from mckd_ray.config_file import write_config
from mckd_ray.errors import ConfigError
from mckd_ray.plan.store import Store
from mckd_ray.runner.reports import Report, reports_of_done
from mckd_ray.runner.run import run_place
from mckd_ray.search_config import SearchConfig
from mckd_ray.storage.files import write_json
from mckd_ray.storage.root import Place
from mckd_ray.student.tracking import check_trackers
from mckd_ray.sweep.budget import TokenBudget
from mckd_ray.sweep.parquet import write_table
from mckd_ray.sweep.results import objective_of, ranked, rows_of, verdict
from mckd_ray.sweep.space import Point, points, search_of, size
from mckd_ray.sweep.trials import Planner, Seen, Trial, distinct_steps, savings

LARGE = 100
"""A grid of more points than this is run only when that is meant."""
STARTED, BEST = "started.json", "best.yaml"


@dataclass(frozen=True)
class Sweep:
    """What is known of a sweep before it runs."""

    config: ExperimentConfig
    search: SearchConfig
    planner: Planner
    trials: Sequence[Trial]
    """For optuna, which chooses on the way: an example, as many random points."""

    @property
    def points(self) -> list[Point]:
        """What is tried."""
        return [trial.point for trial in self.trials]

    @property
    def place(self) -> Place:
        """Where its results go."""
        return run_place(self.config) / "sweep"

    @property
    def folder(self) -> Path:
        """Where they are written on this node, with what Tune needs to resume it here."""
        return self.place.path

    @property
    def store(self) -> Store:
        """Where its steps are kept."""
        return Store(self.config.store.root)


def check_size(config: ExperimentConfig) -> None:
    """Raise ConfigError if the grid of `config` is so large that it may not be meant."""
    search = search_of(config)
    count = min(size(search), search.max_trials or math.inf)
    if search.algorithm == "grid" and count > LARGE:
        raise ConfigError(
            f"the grid of search.space has {count:g} points; give --yes if all are meant, or set search.max_trials, or "
            "search.algorithm to random or optuna."
        )


def planned(config: ExperimentConfig) -> Sweep:
    """The sweep that `config` describes; runs nothing. Raises UserError if no trial of it could run."""
    search = search_of(config)
    planner = Planner(config)
    trials = [planner.trial(point) for point in points(search)]
    if all(trial.problem for trial in trials):
        raise ConfigError(f"no point of search.space can be run; the first: {trials[0].problem}")
    return Sweep(config, search, planner, trials)


def plan_of(sweep: Sweep) -> dict[str, Any]:
    """What `mckd sweep --plan` shows: the trials, their steps apart and distinct, and how many are done."""
    done = len(reports_of_done(sweep.store, distinct_steps(sweep.trials)))
    whole = size(sweep.search)
    return {
        "name": sweep.config.name,
        "algorithm": sweep.search.algorithm,
        "points": None if whole == math.inf else whole,
        "seeds": list(sweep.search.seeds),
        "objective": objective_of(sweep.config),
        "held_out": sweep.planner.config.corpus.held_out,
        "trials": [
            {"settings": dict(trial.point), "steps": len(trial.steps), "problem": trial.problem}
            for trial in sweep.trials
        ],
        "steps": {kind: saving.as_data() for kind, saving in savings(sweep.trials).items()},
        "done": done,
    }


def run_sweep(
    sweep: Sweep, watch: Callable[[Sequence[Seen]], None], resume: bool = False, verbose: bool = False
) -> dict[str, Any]:
    """Run `sweep` and return its result, which is also in sweep.json of its folder, beside its tables and plots."""
    sweep.store.check_writable()
    check_trackers(sweep.config.tracking)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(sweep.folder / "lock", timeout=0):
            return _run(sweep, watch, resume, verbose)
    except Timeout:
        raise ConfigError(
            f"another sweep called {sweep.config.name} is running; wait for it, or give this one a name: -o name=NAME."
        ) from None


def _run(sweep: Sweep, watch: Callable[[Sequence[Seen]], None], resume: bool, verbose: bool) -> dict[str, Any]:
    import ray

    from mckd_ray.runner.dispatch import is_asking
    from mckd_ray.runner.session import session
    from mckd_ray.sweep.shared import start_shared
    from mckd_ray.sweep.tuning import Order, search

    config, store, folder = sweep.planner.config, sweep.store, sweep.folder
    started = _resumed(sweep) if resume else _begun(sweep)
    steps = distinct_steps(sweep.trials)
    done = reports_of_done(store, steps)
    asking = any(is_asking(step) for step in steps if step.digest not in done)
    logging.getLogger("ray.tune").setLevel(logging.INFO if verbose else logging.CRITICAL)
    settings = sweep.search.model_copy(update={"concurrent": _at_once(sweep, done)})
    with session(config.resources, asking, verbose, trials=settings.concurrent):
        shared = start_shared(store, config.resources, TokenBudget(settings.max_teacher_tokens, started))
        order = Order(config, settings, store, shared)
        seen = search(order, sweep.points, folder / "tune", watch, resume)
        executed: int = ray.get(shared.executed.remote())
        ray.get(shared.close.remote())
    return _result(sweep, seen, executed)


def _at_once(sweep: Sweep, done: Mapping[str, Report]) -> int:
    """How many trials run at once: no more than have something to do.

    Tune begins a process for each trial beside the first, and drops it when the first is free before it has started.
    Which trials Optuna will ask for is not known before.
    """
    if sweep.search.algorithm == "optuna":
        return sweep.search.concurrent
    busy = sum(any(step.digest not in done for step in trial.steps) for trial in sweep.trials)
    return max(1, min(sweep.search.concurrent, busy))


def _begun(sweep: Sweep) -> float:
    """Note what the sweep is, for those who resume it; returns when it began, in seconds since the epoch."""
    started = time.time()
    write_json(sweep.folder / STARTED, {"started": started, "config": sweep.config.model_dump(mode="json")})
    return started


def _resumed(sweep: Sweep) -> float:
    """When the sweep that is to be resumed began. Raises ConfigError if there is none, or it was another."""
    path = sweep.folder / STARTED
    if not path.exists():
        raise ConfigError(f"{sweep.folder}: holds no sweep to resume; leave out --resume to begin it.")
    before = json.loads(path.read_text(encoding="utf-8"))
    now = sweep.config.model_dump(mode="json")
    differing = [name for name, value in now.items() if name != "resources" and value != before["config"].get(name)]
    if differing:
        raise ConfigError(
            f"{sweep.folder}: the sweep to resume had another {differing[0]} section; resume it with the same config, "
            "or leave out --resume to begin anew (steps that are done are reused all the same)."
        )
    return float(before["started"])


def _result(sweep: Sweep, seen: Sequence[Seen], executed: int) -> dict[str, Any]:
    from mckd_ray.sweep.plots import draw_plots

    trials, ends = _in_order(sweep, seen)
    rows = rows_of(sweep.config, sweep.store, trials, ends)
    best = next(iter(ranked(rows)), None)
    result = {
        "name": sweep.config.name,
        "objective": objective_of(sweep.config),
        "trials": rows,
        "settings": list(sweep.search.space),
        "best": best["trial"] if best else None,
        "verdict": verdict(sweep.store, trials, rows) if best else None,
        "steps": {kind: saving.as_data() for kind, saving in savings(trials).items()},
        "executed": executed,
    }
    write_table(rows, sweep.folder / "sweep.parquet")
    write_json(sweep.folder / "sweep.json", result)
    if best:
        config = trials[best["trial"] - 1].config
        write_config(config.model_copy(update={"name": f"{config.name}-best"}), sweep.folder / BEST)
    draw_plots(result, sweep.folder)
    for path in filter(Path.is_file, sweep.folder.iterdir()):
        sweep.place.root.keep(path)
    return result


def _in_order(sweep: Sweep, seen: Sequence[Seen]) -> tuple[list[Trial], list[Seen]]:
    """The trials with how each ended, in the order of the plan; those of optuna in that in which it chose them."""
    if sweep.search.algorithm == "optuna":
        return [sweep.planner.trial(end.point) for end in seen], list(seen)
    ends = {repr(end.point): end for end in seen}
    trials = [trial for trial in sweep.trials if repr(trial.point) in ends]
    return trials, [ends[repr(trial.point)] for trial in trials]
