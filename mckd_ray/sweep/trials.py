"""A trial: the part of an experiment's run that the scores of one point on dev need."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mckd_ray import corpora
from mckd_ray.config import ExperimentConfig
from mckd_ray.config_file import changed
from mckd_ray.errors import UserError
from mckd_ray.plan.experiment import plan
from mckd_ray.plan.steps import Graph, Step
from mckd_ray.sweep.space import WHERE, Point

SPLIT = "dev"
"""What trials are scored on. Never test."""
HELD_OUT_SHARE = 5
"""Where there is no dev, one in so many labelled rows takes its place."""


@dataclass(frozen=True)
class Stage:
    """What scores the final student of K=`number` (K=1: vanilla KD): an evaluation for each seed, and its steps."""

    number: int
    evaluations: tuple[Step, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Trial:
    """One point: its config, as `mckd run` would take it, and the stages of its chain; or the `problem` with it."""

    point: Point
    config: ExperimentConfig
    stages: tuple[Stage, ...]
    problem: str = ""

    @cached_property
    def steps(self) -> list[Step]:
        """All its steps, each once, inputs first."""
        return list({step.digest: step for stage in self.stages for step in stage.steps}.values())


@dataclass(frozen=True)
class Seen:
    """A trial as it is now: waiting, running, finished, stopped (by asha or for lack of time) or failed."""

    point: Point
    state: str
    stage: int
    """The last stage that has a score; 0 before there is one."""
    score: float | None
    reason: str = ""


class Planner:
    """Makes the trials of a sweep. The corpus is read once for all that share it."""

    def __init__(self, config: ExperimentConfig) -> None:
        """`config`, with its checked search section."""
        self.config = chosen_by_dev(config)
        self._fingerprints: dict[str, str] = {}

    def trial(self, point: Point) -> Trial:
        """The trial of `point`; one whose settings do not fit one another has a problem and no stages."""
        try:
            config = self._experiment(point)
            return Trial(point, config, _stages(self._graph(config), config.plan.stages))
        except UserError as error:
            return Trial(point, self.config, (), str(error))

    def _experiment(self, point: Point) -> ExperimentConfig:
        """The experiment at `point`: the systems of the config and those that score the stages, dev and its splits."""
        search = self.config.search
        assert search is not None  # noqa: S101 - the caller looked
        settings = self.config.plan
        systems = dict.fromkeys([*settings.systems, "kd", "mckd"])
        splits = dict.fromkeys([SPLIT, *settings.evaluate])
        plan_settings = {"plan.systems": [*systems], "plan.seeds": search.seeds, "plan.evaluate": [*splits]}
        return changed(self.config, {**point, **plan_settings, "search": None}, WHERE)

    def _graph(self, config: ExperimentConfig) -> Graph:
        key = config.corpus.model_dump_json()
        if key not in self._fingerprints:
            self._fingerprints[key] = corpora.fingerprint(config.corpus, config.task.kind)
        return plan(config, self._fingerprints[key])


def chosen_by_dev(config: ExperimentConfig) -> ExperimentConfig:
    """`config`, where a part of the labelled budget takes the place of dev if there is none."""
    corpus = config.corpus
    if corpus.dev != 0 or corpus.held_out:
        return config
    held_out = max(1, corpus.labelled // HELD_OUT_SHARE)
    return changed(config, {"corpus.held_out": held_out}, "corpus")


def _stages(graph: Graph, last: int) -> tuple[Stage, ...]:
    stages = []
    for number in range(1, last + 1):
        system = "kd" if number == 1 else f"mckd-{number}"
        scored = [one.step for one in graph.scored if one.system == system and one.split == SPLIT]
        stages.append(Stage(number, tuple(scored), tuple(graph.needs(scored))))
    return tuple(stages)


@dataclass(frozen=True)
class Saving:
    """How many steps trials have each for itself, and how many are distinct."""

    apart: int
    distinct: int

    @property
    def share(self) -> float:
        """The share (0 to 1) of the steps that nobody needs to run again."""
        return 1 - self.distinct / self.apart if self.apart else 0.0

    def as_data(self) -> dict[str, Any]:
        """As plain values."""
        return {"apart": self.apart, "distinct": self.distinct, "saved": self.share}


def distinct_steps(trials: Iterable[Trial]) -> list[Step]:
    """The steps of all trials, each once, inputs first."""
    return list({step.digest: step for trial in trials for step in trial.steps}.values())


def savings(trials: Sequence[Trial]) -> Mapping[str, Saving]:
    """The saving by kind of step, and over `all`."""
    apart = [step for trial in trials for step in trial.steps]
    distinct = distinct_steps(trials)
    kinds = dict.fromkeys(step.kind for step in apart)
    by_kind: dict[str, Saving] = {
        kind: Saving(sum(step.kind == kind for step in apart), sum(step.kind == kind for step in distinct))
        for kind in kinds
    }
    return {**by_kind, "all": Saving(len(apart), len(distinct))}
