"""The `simulated` engine: gold corrupted at a set rate, for studies of noise only; it is no model.

Its labels hold information about each sentence that a real teacher's do not: don't judge the method by it alone.
"""

from collections.abc import Mapping, Sequence

from mckd_ray.errors import ConfigError
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.student.base import Labeller
from mckd_ray.tasks.base import Task
from mckd_ray.teacher import Commission
from mckd_ray.teacher.noise import CORRUPTIONS, Noise


class SimulatedTeacher(Labeller):
    """Gold with noise, the same for the same (seed, id)."""

    def __init__(self, task: Task, gold: Mapping[str, str], noise: Noise) -> None:
        """`gold`: id to canonical target, of the whole pool. Raises ConfigError for a task without a corruption."""
        if task.name not in CORRUPTIONS:
            raise ConfigError(f"teacher.engine 'simulated' cannot corrupt '{task.name}'; it can {sorted(CORRUPTIONS)}.")
        self._task, self._gold, self._noise = task, gold, noise
        self._corruption = CORRUPTIONS[task.name]
        self._names = self._corruption.names(gold.values())

    def label(self, examples: Sequence[Example]) -> list[Label]:
        """One label for each example; an input without gold is a failed row."""
        return [self._label(example) for example in examples]

    def _label(self, example: Example) -> Label:
        gold = self._gold.get(example.id)
        if gold is None:
            return Label(example.id, "", "", Outcome.FAILED, reason="the simulated teacher has no gold for this input")
        target = self._corruption.corrupt(gold, example, self._noise, self._names)
        return Label(example.id, target, target, Outcome.OK)


def make(commission: Commission) -> Labeller:
    """The simulated teacher of the commission. Raises ConfigError without gold."""
    config = commission.config
    if commission.gold is None:
        raise ConfigError("teacher.engine 'simulated' corrupts gold, and this corpus has no gold for the pool.")
    return SimulatedTeacher(commission.task, commission.gold, Noise(config.noise, config.systematic, config.seed))
