"""The sweep as Ray Tune runs it: what a trial does, who chooses the points, who stops trials, how one resumes."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from mckd_ray.config import ExperimentConfig
from mckd_ray.errors import ConfigError, StepError
from mckd_ray.plan.store import Store
from mckd_ray.runner.placement import TRIAL_CPUS
from mckd_ray.runner.reports import Report, root_cause
from mckd_ray.search_config import Axis, SearchConfig
from mckd_ray.sweep.results import score_of
from mckd_ray.sweep.shared import wait_for
from mckd_ray.sweep.space import Point
from mckd_ray.sweep.trackers import loggers
from mckd_ray.sweep.trials import Planner, Seen, Stage

SCORE, STAGE, LAST, POINT = "score", "stage", "last", "point"
MOST_TRIAL_DEATHS = 3
"""How often a trial whose process died is started anew."""
WATCH_S = 0.5
HALVING = 2
"""asha: one in so many trials goes on after each rung."""
ENVIRONMENT = {
    # The store keeps what trials did; each of Tune's own files would cost every trial time.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Ctrl-C is the command line's to handle: what has been done is in the store.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # There is a table of our own.
    "RAY_AIR_NEW_OUTPUT": "0",
}


@dataclass(frozen=True)
class Order:
    """What every trial of a sweep is told."""

    config: ExperimentConfig
    search: SearchConfig
    store: Store
    shared: Any
    """The actor that does the steps of all trials."""


Watch = Callable[[Sequence[Seen]], None]
_watch: ContextVar[Callable[[Sequence[Any]], None]] = ContextVar("watch")


def search(
    order: Order,
    points: Sequence[Point],
    folder: Path,
    watch: Watch,
    resume: bool = False,
) -> list[Seen]:
    """Run Tune over the space of the `order`; `points` are what a grid or random search tries. How each trial ended.

    Tune's own state is kept in `folder`, from which it can `resume`.
    """
    settings = order.search
    trial = tune.with_resources(partial(_trial, order=order), {"CPU": TRIAL_CPUS})
    last: list[Seen] = []

    def take(trials: Sequence[Any]) -> None:
        last[:] = [_seen(settings, one) for one in trials]
        watch(last)

    with _watching(take):
        if resume and any(folder.glob("experiment_state-*")):
            tuner = tune.Tuner.restore(str(folder), trial, resume_errored=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            tuner = _tuner(settings, points, trial, folder, [_Watching(), *loggers(order.config.tracking)])
        tuner.fit()
    return last


def _tuner(
    settings: SearchConfig, points: Sequence[Point], trial: Any, folder: Path, callbacks: list[tune.Callback]
) -> tune.Tuner:
    space: dict[str, Any] = {POINT: tune.grid_search(list(points))}
    samples, searcher = 1, None
    if settings.algorithm == "optuna":
        space = {name: _domain(axis) for name, axis in settings.space.items()}
        samples = min(settings.samples, settings.max_trials or settings.samples)
        searcher = OptunaSearch(seed=settings.seed)
    return tune.Tuner(
        trial,
        param_space=space,
        tune_config=tune.TuneConfig(
            metric=SCORE,
            mode="max",
            search_alg=searcher,
            scheduler=_scheduler(settings),
            num_samples=samples,
            max_concurrent_trials=settings.concurrent,
            time_budget_s=settings.max_seconds,
            reuse_actors=True,
            trial_dirname_creator=_folder_name,
        ),
        run_config=tune.RunConfig(
            name=folder.name,
            storage_path=str(folder.parent),
            callbacks=callbacks,
            failure_config=tune.FailureConfig(max_failures=MOST_TRIAL_DEATHS),
            verbose=0,
        ),
    )


def _scheduler(settings: SearchConfig) -> ASHAScheduler | None:
    if settings.scheduler == "none":
        return None
    return ASHAScheduler(time_attr=STAGE, grace_period=1, reduction_factor=HALVING, max_t=_MANY_STAGES)


_MANY_STAGES = 1024
"""More than any chain has: it is the trial that knows its last stage."""


def _domain(axis: Axis) -> Any:
    """What Tune draws for an axis: an index where values can be counted."""
    if axis.interval is None:
        return tune.choice(range(len(axis.values)))
    return tune.loguniform(*axis.interval) if axis.loguniform else tune.uniform(*axis.interval)


def _point(values: Mapping[str, Any], settings: SearchConfig) -> Point:
    """The point that Tune's config of a trial stands for."""
    if POINT in values:
        point: Point = values[POINT]
        return point
    return {
        name: axis.values[values[name]] if axis.interval is None else values[name]
        for name, axis in settings.space.items()
    }


def _folder_name(trial: Any) -> str:
    return str(trial.trial_id)


# What runs in a trial's process.


def _trial(values: dict[str, Any], order: Order) -> None:
    """Have the steps of one point done and report its score after each stage.

    All stages are asked for at once, unless the scheduler may stop the trial after one of them.
    """
    trial = Planner(order.config).trial(_point(values, order.search))
    if trial.problem:
        raise ConfigError(trial.problem)
    for stage in trial.stages:
        steps = trial.steps if order.search.scheduler == "none" else stage.steps
        _raise_failure(stage, wait_for(order.shared, steps, stage.evaluations))
        score = score_of(order.config, order.store, stage).mean
        tune.report({SCORE: score, STAGE: stage.number, LAST: len(trial.stages)})


def _raise_failure(stage: Stage, reports: Mapping[str, Report]) -> None:
    """Raise StepError with the cause if the stage has no score."""
    if all(reports[step.digest].usable for step in stage.evaluations):
        return
    for step in stage.steps:
        report = reports.get(step.digest)
        if report is not None and report.state == "failed":
            raise StepError(f"{step.name}: {report.message}")


# What runs in the driver.


class _Watching(tune.Callback):
    """Shows the trials to whoever watches. Tune saves it with the sweep, so it knows nothing of those who do."""

    def __init__(self) -> None:
        """Nothing has been shown."""
        self._shown = 0.0

    def on_step_end(self, iteration: int, trials: Sequence[Any], **_: Any) -> None:
        """Tune does this many times a second."""
        if time.time() - self._shown >= WATCH_S:
            self._shown = time.time()
            _watch.get()(trials)

    def on_experiment_end(self, trials: Sequence[Any], **_: Any) -> None:
        """The last look."""
        _watch.get()(trials)


@contextmanager
def _watching(watch: Callable[[Sequence[Any]], None]) -> Iterator[None]:
    os.environ.update(ENVIRONMENT)
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


_STATES = {"PENDING": "waiting", "RUNNING": "running", "PAUSED": "running", "ERROR": "failed"}


def _seen(settings: SearchConfig, trial: Any) -> Seen:
    result = trial.last_result or {}
    stage = result.get(STAGE, 0)
    state, reason = _STATES.get(trial.status, "finished"), ""
    if state == "finished" and stage < result.get(LAST, 1):
        state, reason = "stopped", _why_stopped(settings, stage)
    elif state == "failed":
        reason = _first_line(root_cause(_error_of(trial) or StepError("its process died")))
    return Seen(_point(trial.config, settings), state, stage, result.get(SCORE), reason)


def _error_of(trial: Any) -> BaseException | None:
    """From the driver's own file, which is whole; Tune copies it into the trial's folder in the background."""
    path = trial.pickled_error_file
    error: BaseException | None = cloudpickle.loads(Path(path).read_bytes()) if path else None
    return error


def _why_stopped(settings: SearchConfig, stage: int) -> str:
    causes = [*(["asha"] if settings.scheduler == "asha" else []), *(["max_seconds"] if settings.max_seconds else [])]
    return f"by {' or '.join(causes)} after stage {stage}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
