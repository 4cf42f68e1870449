"""What a sweep may spend on asking teachers, in tokens."""

from collections.abc import Iterable
from dataclasses import dataclass

from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store


@dataclass(frozen=True)
class TokenBudget:
    """At most `tokens` (None: as many as it takes) since `started`, in seconds since the epoch."""

    tokens: int | None
    started: float

    def refusal(self, store: Store, steps: Iterable[Step]) -> str:
        """Why no further labelling may begin; empty as long as it may. `steps` are those of the sweep."""
        if self.tokens is None or (spent := self.spent(store, steps)) < self.tokens:
            return ""
        return f"search.max_teacher_tokens is {self.tokens}, and {spent} are spent; raise it to label more."

    def spent(self, store: Store, steps: Iterable[Step]) -> int:
        """The tokens that the labelling steps among `steps` have read and written since the sweep began."""
        records = [store.record(step.key) for step in steps if step.kind == "label"]
        facts = [record.facts.get("teacher", {}) for record in records if record and record.started >= self.started]
        return sum(one.get("tokens_in", 0) + one.get("tokens_out", 0) for one in facts)
