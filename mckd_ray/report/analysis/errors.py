"""Errors by kind, and which name stands where gold has which, for some systems on the same inputs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mckd_ray.report.analysis.run import Run, sample
from mckd_ray.report.analysis.systems import System
from mckd_ray.tasks.base import Pairs

MOST_READ = 2000
"""Errors are counted on at most so many inputs."""
MOST_NAMES = 12
"""A confusion table shows so many names, those with most errors."""


@dataclass(frozen=True)
class ErrorCounts:
    """The errors of the first seed of a system on `count` of `total` inputs."""

    system: str
    kinds: Mapping[str, int]
    confusion: Mapping[str, Pairs]
    count: int
    total: int


def count_errors(run: Run, systems: Sequence[System], split: str) -> list[ErrorCounts]:
    """The errors of each of `systems`, which are counted on the same inputs."""
    examples, gold = run.examples(split), run.gold(split)
    ids = sample(list(gold), MOST_READ)
    found = []
    for system in systems:
        labels = run.labels(system.tables[0])
        kinds: Counter[str] = Counter()
        confusion: dict[str, Counter[tuple[str, str]]] = {}
        for name in ids:
            label = labels[name]
            errors = run.task.errors(gold[name], label.target if label.outcome.usable else None, examples[name])
            kinds.update(errors.kinds)
            for what, pairs in errors.confusion.items():
                confusion.setdefault(what, Counter()).update(pairs)
        found.append(ErrorCounts(system.name, kinds, confusion, len(ids), len(gold)))
    return found


def most_confused(pairs: Pairs) -> list[str]:
    """The names with most errors, on either side, the most confused first."""
    wrong: Counter[str] = Counter()
    for (gold, predicted), count in pairs.items():
        if gold != predicted:
            wrong.update({gold: count, predicted: count})
    return [name for name, _ in wrong.most_common(MOST_NAMES)]
