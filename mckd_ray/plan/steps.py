"""Steps and the graph of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from mckd_ray.plan.identity import digest_of

Kind = Literal["corpus", "gold", "train", "label", "relabel", "merge", "evaluate"]

VERSIONS: Mapping[Kind, int] = {
    "corpus": 1,
    "gold": 1,
    "train": 2,
    "label": 2,
    "relabel": 1,
    "merge": 1,
    "evaluate": 1,
}
"""The version of each kind; raise it when the kind's result changes for the same settings and inputs."""


@dataclass(frozen=True)
class Step:
    """A unit of work that is done once: its result is determined by kind, settings and inputs."""

    kind: Kind
    name: str
    """For people; never part of the identity."""
    settings: Mapping[str, Any]
    """What changes the result: plain data."""
    inputs: Mapping[str, "Step"] = field(default_factory=dict)
    """The steps whose results it reads, by role."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What it needs to run but what never changes the result: paths, sizes for memory's sake. Not in the identity."""

    @cached_property
    def digest(self) -> str:
        """The identity."""
        inputs = {role: step.digest for role, step in self.inputs.items()}
        return digest_of([self.kind, VERSIONS[self.kind], self.settings, inputs])

    @property
    def key(self) -> str:
        """The name of its folder in the store."""
        return f"{self.kind}-{self.digest}"

    def as_data(self) -> dict[str, Any]:
        """For machines, and for whoever looks from outside; `inputs` are keys by role."""
        return {
            "kind": self.kind,
            "name": self.name,
            "key": self.key,
            "settings": self.settings,
            "inputs": {role: need.key for role, need in self.inputs.items()},
        }

    @property
    def alone(self) -> "Step":
        """The step without the graph behind it: its inputs have their identity, and nothing else.

        That is all that the process must know that does it; with the graph, a late step of a large one is a megabyte.
        """
        inputs = {role: _identified(Step(need.kind, need.name, {}), need) for role, need in self.inputs.items()}
        return _identified(replace(self, inputs=inputs), self)


def _identified(copy: Step, step: Step) -> Step:
    """`copy`, which lacks some of what the identity of `step` is made from, with that identity."""
    vars(copy)["digest"] = step.digest
    return copy


@dataclass(frozen=True)
class Scored:
    """Where the score of one system, trained with one seed, on one split comes from."""

    system: str
    seed: int
    split: str
    step: Step


class Graph:
    """The steps of an experiment, each once, inputs before the steps that read them."""

    def __init__(self) -> None:
        """An empty graph."""
        self._steps: dict[str, Step] = {}
        self.scored: list[Scored] = []
        self.quality: dict[str, Step] = {}
        """Evaluations of the pool's label tables, by the table's name."""

    @property
    def steps(self) -> list[Step]:
        """All steps, in an order in which they can run."""
        return list(self._steps.values())

    def add(self, step: Step) -> Step:
        """The step of the graph with this identity: `step`, unless an equal one is there already."""
        missing = [role for role, need in step.inputs.items() if need.digest not in self._steps]
        if missing:
            raise ValueError(f"{step.name}: its inputs {missing} are not in the graph")
        return self._steps.setdefault(step.digest, step)

    def needs(self, steps: Iterable[Step]) -> list[Step]:
        """`steps` and all that they stand on, in the graph's order."""
        wanted = {step.digest for step in steps}
        for step in reversed(self.steps):
            if step.digest in wanted:
                wanted.update(need.digest for need in step.inputs.values())
        return [step for step in self.steps if step.digest in wanted]

    def as_data(self) -> list[dict[str, Any]]:
        """A row a step, in an order in which they can run."""
        return [step.as_data() for step in self.steps]

    def scored_as_data(self) -> list[dict[str, Any]]:
        """A row a score of a system: which step measured it."""
        return [
            {"system": one.system, "seed": one.seed, "split": one.split, "key": one.step.key} for one in self.scored
        ]

    def quality_as_data(self) -> dict[str, str]:
        """The key of the step that measured each of the pool's label tables, by the table's name."""
        return {name: step.key for name, step in self.quality.items()}
