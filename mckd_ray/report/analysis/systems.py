"""Which system is best, by how much, at what cost: scores over seeds, and paired tests on the same inputs."""

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mckd_ray.errors import DataError
from mckd_ray.evaluation.significance import PairedTest, paired_test_over_seeds
from mckd_ray.report.analysis.run import Run, sample
from mckd_ray.runner.results import BASELINES

MOST_PAIRED = 20_000
"""The paired tests take at most so many inputs: more change nothing that can be seen, and take minutes."""
_STAGE = re.compile(r"(.+)-(\d+)")


@dataclass(frozen=True)
class System:
    """One system on one split, trained with each of `seeds`; scores are in percent."""

    name: str
    seeds: tuple[int, ...]
    scores: Mapping[str, tuple[float, ...]]
    """Each metric's value for each seed."""
    values: tuple[Mapping[str, float], ...]
    """For each seed, each input's value by id."""
    coverage: float
    outcomes: Mapping[str, int]
    """Of all seeds together."""
    tables: tuple[str, ...]
    """The key of each seed's label table."""
    seconds: float
    """All steps that it stands on, one after the other."""

    def mean(self, metric: str) -> float:
        """Over the seeds."""
        return statistics.fmean(self.scores[metric])

    def spread(self, metric: str) -> float:
        """The standard deviation over the seeds."""
        return statistics.pstdev(self.scores[metric])

    @property
    def by_input(self) -> dict[str, float]:
        """Each input's value, averaged over the seeds."""
        return {name: statistics.fmean(values[name] for values in self.values) for name in self.values[0]}

    @property
    def chain(self) -> tuple[str, int] | None:
        """The method and the number of stages: ("mckd", 3) of mckd-3, None for systems without stages."""
        found = _STAGE.fullmatch(self.name)
        return (found[1], int(found[2])) if found else None


@dataclass(frozen=True)
class Gain:
    """What `ours` is over `theirs`, in the task's measure of one input, on `count` of `total` inputs."""

    ours: str
    theirs: str
    test: PairedTest
    count: int
    total: int


def systems_of(run: Run, split: str) -> dict[str, System]:
    """The systems of `run` that have a score on `split`, by name, in the order of the plan."""
    found: dict[str, list[tuple[int, str, Mapping[str, Any]]]] = {}
    for one in run.scored:
        evaluation = run.evaluation(one.key) if one.split == split else None
        if evaluation is not None:
            found.setdefault(one.system, []).append((one.seed, one.key, evaluation))
    return {name: _system(run, name, some) for name, some in found.items()}


def _system(run: Run, name: str, found: Sequence[tuple[int, str, Mapping[str, Any]]]) -> System:
    evaluations = [evaluation for _, _, evaluation in found]
    steps = run.needs([key for _, key, _ in found])
    return System(
        name=name,
        seeds=tuple(seed for seed, _, _ in found),
        scores={metric: tuple(one["scores"][metric] for one in evaluations) for metric in evaluations[0]["scores"]},
        values=tuple(one["values"] for one in evaluations),
        coverage=statistics.fmean(one["coverage"] for one in evaluations),
        outcomes={
            outcome: sum(one["outcomes"][outcome] for one in evaluations) for outcome in evaluations[0]["outcomes"]
        },
        tables=tuple(run.by_key[key].inputs["labels"] for _, key, _ in found),
        seconds=sum(run.records[step.key].seconds for step in steps if step.key in run.records),
    )


def best_of(systems: Mapping[str, System], metric: str) -> System:
    """The system with the highest mean; the first of equals. There must be one."""
    return max(systems.values(), key=lambda system: system.mean(metric))


def gain(ours: System, theirs: System) -> Gain:
    """`ours` against `theirs` on the inputs that both have. Raises DataError if there is none."""
    shared = [name for name in ours.values[0] if name in theirs.values[0]]
    if not shared:
        raise DataError(f"{ours.name} and {theirs.name} were scored on different inputs; none can be paired.")
    ids = sample(shared, MOST_PAIRED)
    before, after = ([{name: values[name] for name in ids} for values in one.values] for one in (theirs, ours))
    return Gain(ours.name, theirs.name, paired_test_over_seeds(before, after), len(ids), len(shared))


def gains(systems: Mapping[str, System]) -> dict[tuple[str, str], Gain]:
    """Each system over each baseline (teacher, KD) that is there, by the two names."""
    return {
        (ours.name, other): gain(ours, systems[other])
        for ours in systems.values()
        for other in BASELINES
        if other in systems and other != ours.name
    }


@dataclass(frozen=True)
class StagePoint:
    """The scores of one seed each of the system with `stages` stages."""

    system: str
    stages: int
    scores: tuple[float, ...]


def stages(systems: Mapping[str, System], metric: str) -> dict[str, list[StagePoint]]:
    """The scores by number of stages of each method; with one stage, all of them are vanilla KD."""
    found: dict[str, list[StagePoint]] = {}
    for system in systems.values():
        if system.chain is not None:
            method, number = system.chain
            found.setdefault(method, []).append(StagePoint(system.name, number, system.scores[metric]))
    first = [StagePoint("kd", 1, systems["kd"].scores[metric])] if "kd" in systems else []
    if first and not found:
        return {"kd": first}
    return {method: first + sorted(points, key=lambda point: point.stages) for method, points in found.items()}
