"""The `search` section of a config: what `mckd sweep` varies, how it looks for the best, and when it ends."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from mckd_ray.section import Section


class Axis(Section):
    """The values that one setting may take: one of these keys. A plain list is a `choice`."""

    choice: tuple[Any, ...] | None = None
    """Any values."""
    range: tuple[int, ...] | None = None
    """Whole numbers: [low, high] or [low, high, step]; both ends count."""
    uniform: tuple[float, ...] | None = None
    """Numbers from [low, high], all equally likely."""
    loguniform: tuple[float, ...] | None = None
    """Numbers from [low, high], all orders of magnitude equally likely."""

    @model_validator(mode="before")
    @classmethod
    def _list_is_choice(cls, value: Any) -> Any:
        return {"choice": value} if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        if len(given) != 1:
            raise ValueError("give a list of values, or one of choice, range, uniform, loguniform")
        ((name, value),) = given.items()
        if name == "choice":
            shown = [repr(one) for one in value]
            if not value or len(set(shown)) < len(shown):
                raise ValueError("there must be one value at least, and none twice")
        elif not 2 <= len(value) <= (3 if name == "range" else 2) or value[0] > value[1]:
            raise ValueError(f"{name} is {list(value)}; write [low, high], the lower one first")
        elif name == "range" and value[2:] and value[2] < 1:
            raise ValueError("the step of a range is 1 at least")
        elif name == "loguniform" and value[0] <= 0:
            raise ValueError("loguniform needs numbers above 0")
        return self

    @property
    def interval(self) -> tuple[float, float] | None:
        """The ends of a continuous range; None for values that can be counted."""
        ends = self.uniform or self.loguniform
        return None if ends is None else (ends[0], ends[1])

    @property
    def values(self) -> tuple[Any, ...]:
        """All values, in order, where they can be counted."""
        if self.choice is not None:
            return self.choice
        if self.range is not None:
            low, high, step = (*self.range, 1)[:3]
            return tuple(range(low, high + 1, step))
        raise ValueError("a continuous range has no list of values")


class SearchConfig(Section):
    """What `mckd sweep` searches, over any settings of the experiment. No other command reads it."""

    space: Mapping[str, Axis] = Field(default_factory=dict)
    """The dotted name of a setting to its values, such as plan.stages: [1, 2, 3, 4]."""
    seeds: tuple[int, ...] = Field((1,), min_length=1)
    """Students of each point are trained once for each; its score is the mean."""
    algorithm: Literal["grid", "random", "optuna"] = "grid"
    """grid: all points; random: `samples` points; optuna: `samples` points, chosen by the scores of those before."""
    samples: int = Field(16, ge=1)
    """random, optuna: how many points are tried."""
    seed: int = 1
    """Seeds the draws of random and optuna."""
    scheduler: Literal["none", "asha"] = "none"
    """asha: a trial that is not among the better half after a stage is stopped (successive halving)."""
    objective: str = ""
    """The metric that ranks trials, on dev (default: the task's primary one). Never on test."""
    concurrent: int = Field(4, ge=1)
    """How many trials are under way at once; how many students train at once is up to Ray."""
    max_trials: int | None = Field(None, ge=1)
    """Try at most so many points."""
    max_seconds: float | None = Field(None, gt=0)
    """End after so many seconds; trials under way are stopped."""
    max_teacher_tokens: int | None = Field(None, ge=1)
    """Once so many tokens have been read and written by a prompted teacher, no further labelling begins."""
