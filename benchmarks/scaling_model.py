"""A run on a cluster as a model: the real graph of steps, what each takes, and who must wait for whom."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mckd_ray.config import ExperimentConfig
from mckd_ray.plan.experiment import plan
from mckd_ray.plan.steps import Kind, Step

HOUR = 3600
TABLES: tuple[Kind, ...] = ("corpus", "gold", "merge", "evaluate")
"""Steps that only read and write tables, in one process."""


@dataclass(frozen=True)
class Speeds:
    """Assumed, as there is no GPU to measure: those of docs/cluster.md, for a 7B teacher (L40S) and T5-base (L4)."""

    pieces: float = 130
    """Of an answer."""
    teacher: float = 2000
    """Pieces a second, each replica."""
    relabel: float = 2000
    """Pieces a second, each actor."""
    train: float = 18e12 / 0.13e12
    """Examples a second, each worker."""
    start: float = 60
    """Seconds until an engine, a training run or a pool does its first work."""


@dataclass(frozen=True)
class Cluster:
    """Its GPUs. Half of those for students hold the pool of labelling actors, the others train."""

    replicas: int
    students: int

    @property
    def actors(self) -> int:
        """Of the pool."""
        return max(1, self.students // 2)

    @property
    def workers(self) -> int:
        """Data-parallel workers of each of the two students that a stage trains at the same time."""
        return max(1, (self.students - self.actors) // 2)

    @property
    def runs(self) -> int:
        """Training runs at the same time."""
        return max(1, (self.students - self.actors) // self.workers)


def config(rows: int) -> ExperimentConfig:
    """The paper's experiment (K=3, P=2, one seed) on a pool of so many `rows`.

    A student of the whole pool sees 400,000 examples, as there, or the whole pool once if that is more.
    """
    steps = max(12_500, rows // 32)
    student = {
        "kind": "seq2seq",
        "linearisation": "words",
        "training": {"steps": steps, "batch_size": 32},
        "intermediate": {"steps": steps // 2},
    }
    return ExperimentConfig.model_validate(
        {
            "task": {"kind": "constituency"},
            "corpus": {"path": "data:craft", "pool": rows},
            "teacher": {"engine": "vllm", "model": "a-7b-model", "shots": 20},
            "student": student,
            "plan": {"stages": 3, "partitions": 2},
        }
    )


def graph(rows: int) -> list[Step]:
    """The steps of `config(rows)`."""
    return plan(config(rows), "a corpus").steps


@dataclass(frozen=True)
class Work:
    """What a step takes: seconds before, seconds of one process on tables, and units at a speed that it may share."""

    start: float
    tables: float
    shared: float
    """Seconds that its units take if it has all of what it shares."""

    @property
    def seconds(self) -> float:
        """How long it takes if it has all."""
        return self.start + self.tables + self.shared


def work_of(step: Step, rows: int, cluster: Cluster, speeds: Speeds, cpu: Mapping[str, float]) -> Work:
    """`cpu`: measured seconds of one process for each input, by the step's kind."""
    share = len(step.settings["partitions"]) / step.settings["of"] if "partitions" in step.settings else 1
    inputs = share * rows if step.settings.get("split", "pool") == "pool" else 872
    tables = inputs * cpu["label" if step.kind == "relabel" else step.kind]
    if step.kind in TABLES:
        return Work(0, tables, 0)
    if step.kind == "train":
        training = step.settings["training"]
        examples = training["steps"] * training["batch_size"]
        return Work(speeds.start, tables, examples / speeds.train / cluster.workers)
    speed = cluster.replicas * speeds.teacher if step.kind == "label" else cluster.actors * speeds.relabel
    return Work(speeds.start if step.kind == "label" else 0, 0, max(inputs * speeds.pieces / speed, tables))


@dataclass
class Outcome:
    """How a simulated run went: seconds in all, and those in which each part was busy."""

    seconds: float = 0.0
    busy: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("teacher", "training", "relabelling"), 0.0))
    tables: float = 0.0
    """Seconds in which nothing went on but the tables of single processes."""

    @property
    def bottleneck(self) -> str:
        """Where most of the time goes."""
        shares = {**self.busy, "tables": self.tables}
        name = max(shares, key=lambda key: shares[key])
        return f"{name} {shares[name] / self.seconds:.0%}"


def simulate(steps: Sequence[Step], work: Mapping[str, Work], runs: int) -> Outcome:
    """Run `steps` in simulated time: each when its inputs are done, of training at most `runs` at once.

    Those that relabel share the pool equally. `work`: by the step's digest.
    """
    outcome, done, active = Outcome(), set[str](), dict[str, Active]()
    while len(done) < len(steps):
        for step in steps:
            ready = step.digest not in done and step.digest not in active
            if ready and all(need.digest in done for need in step.inputs.values()) and _free(step, active, runs):
                active[step.digest] = Active(step.kind, work[step.digest])
        pool = max(1, sum(one.kind == "relabel" and not one.before for one in active.values()))
        seconds = min(one.seconds(pool) for one in active.values())
        outcome.seconds += seconds
        _count(outcome, active, seconds)
        for digest, one in list(active.items()):
            if one.advance(seconds, pool):
                done.add(digest)
                del active[digest]
    return outcome


class Active:
    """A step under way: first what it does alone, then what it shares."""

    def __init__(self, kind: Kind, work: Work) -> None:
        self.kind, self.before, self.left = kind, work.start + work.tables, work.shared

    def seconds(self, pool: int) -> float:
        """Until what it does now is done."""
        return self.before or self.left * (pool if self.kind == "relabel" else 1)

    def advance(self, seconds: float, pool: int) -> bool:
        """Let so many seconds pass; whether it is done then."""
        if self.before:
            self.before = 0 if math.isclose(self.before, seconds) else self.before - seconds
            return not self.before and not self.left
        self.left -= seconds / (pool if self.kind == "relabel" else 1)
        self.left = 0 if self.left < 1e-6 else self.left
        return not self.left


def _free(step: Step, active: Mapping[str, Active], runs: int) -> bool:
    return step.kind != "train" or sum(one.kind == "train" for one in active.values()) < runs


def _count(outcome: Outcome, active: Mapping[str, Active], seconds: float) -> None:
    kinds = {one.kind for one in active.values() if not one.before}
    names = {"label": "teacher", "train": "training", "relabel": "relabelling"}
    for kind in kinds & names.keys():
        outcome.busy[names[kind]] += seconds
    if not kinds & names.keys():
        outcome.tables += seconds
