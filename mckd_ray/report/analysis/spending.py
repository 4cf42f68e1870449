"""What a run took: when each step ran and beside which others, tokens and money, what was reused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mckd_ray.report.analysis.run import Run
from mckd_ray.runner.perform import ERROR

LONGEST_PAUSE = 60.0
"""Idle seconds up to here are no interruption."""


@dataclass(frozen=True)
class Span:
    """A step on the axis of busy seconds, on which the time when no step ran is cut out."""

    name: str
    kind: str
    start: float
    end: float
    reused: bool


@dataclass(frozen=True)
class Timeline:
    """All steps that have happened, in the order in which they started, and where long idle times were cut out."""

    spans: tuple[Span, ...]
    cuts: tuple[float, ...]
    busy: float
    """Seconds in which at least one step ran."""

    @property
    def worked(self) -> float:
        """The seconds of all steps together."""
        return sum(span.end - span.start for span in self.spans)

    @property
    def parallelism(self) -> float:
        """How many steps ran at the same time, on average."""
        return self.worked / self.busy if self.busy else 0.0


@dataclass(frozen=True)
class KindCost:
    """The steps of one kind."""

    kind: str
    steps: int
    reused: int
    seconds: float


def timeline(run: Run) -> Timeline:
    """When the steps ran. Times are those of the run that did the work, which for reused steps was an earlier one."""
    reused = {step["digest"] for step in (run.result or {}).get("steps", ()) if step["reused"]}
    done = sorted(run.records.values(), key=lambda record: (record.started, record.ended))
    spans, cuts = [], []
    idle, until = 0.0, done[0].started if done else 0.0
    origin = until
    for record in done:
        if record.started > until:
            if record.started - until > LONGEST_PAUSE:
                cuts.append(until - origin - idle)
            idle += record.started - until
        until = max(until, record.ended)
        start = record.started - origin - idle
        spans.append(Span(record.name, record.kind, start, start + record.seconds, record.digest in reused))
    return Timeline(tuple(spans), tuple(cuts), until - origin - idle)


def cost_by_kind(line: Timeline) -> list[KindCost]:
    """The same by kind of step, the longest first."""
    kinds: dict[str, list[Span]] = {}
    for span in line.spans:
        kinds.setdefault(span.kind, []).append(span)
    costs = [
        KindCost(kind, len(spans), sum(span.reused for span in spans), sum(span.end - span.start for span in spans))
        for kind, spans in kinds.items()
    ]
    return sorted(costs, key=lambda cost: -cost.seconds)


def teacher_cost(run: Run) -> Mapping[str, Any] | None:
    """Tokens and money of all answers of a prompted teacher, as its record has them; None for other teachers."""
    for record in run.records.values():
        if record.kind == "label" and "teacher" in record.facts:
            facts: Mapping[str, Any] = record.facts["teacher"]
            return facts
    return None


def state_of(run: Run) -> Mapping[str, str]:
    """The state of each planned step by key: done, reused, failed, or waiting."""
    ended = {f"{step['kind']}-{step['digest']}": step["state"] for step in (run.result or {}).get("steps", ())}
    return {step.key: _state(run, step.key, ended) for step in run.steps}


def _state(run: Run, key: str, ended: Mapping[str, str]) -> str:
    if key in run.records:
        return "reused" if ended.get(key) == "reused" else "done"
    return "failed" if ended.get(key) == "failed" or (run.store.place(key) / ERROR).read() is not None else "waiting"


def longest(spans: Sequence[Span], most: int) -> list[Span]:
    """At most `most` spans, the longest, in their order."""
    kept = sorted(spans, key=lambda span: span.start - span.end)[:most]
    return [span for span in spans if span in kept]
