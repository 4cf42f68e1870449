"""Inputs worth looking at: where the best system gains most over the teacher, and where it loses most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mckd_ray.records import Example
from mckd_ray.report.analysis.run import Run
from mckd_ray.report.analysis.systems import System

SHOWN = 6
"""So many gains, and as many losses."""


@dataclass(frozen=True)
class Shown:
    """What one system (its first seed) answered: None if nothing usable, for a `reason`."""

    system: str
    target: str | None
    value: float
    reason: str


@dataclass(frozen=True)
class SideBySide:
    """An input with its gold and the answers of some systems."""

    example: Example
    gold: str
    gain: float
    answers: tuple[Shown, ...]


def side_by_side(run: Run, systems: Sequence[System], split: str) -> tuple[list[SideBySide], list[SideBySide]]:
    """The inputs with the largest gains and with the largest losses of the last of `systems` over the first.

    The largest change comes first, of equal ones the shortest input; inputs without a change are never shown.
    """
    first, last = systems[0].values[0], systems[-1].values[0]
    changes = {name: last[name] - first[name] for name in last}
    examples, gold = run.examples(split), run.gold(split)
    labels = [run.labels(system.tables[0]) for system in systems]

    def made(name: str) -> SideBySide:
        answers = []
        for system, table in zip(systems, labels, strict=True):
            label = table[name]
            target = label.target if label.outcome.usable else None
            answers.append(Shown(system.name, target, system.values[0][name], label.reason))
        return SideBySide(examples[name], gold[name], changes[name], tuple(answers))

    def order(names: Mapping[str, float], sign: int) -> list[str]:
        chosen = [name for name in names if sign * names[name] > 0]
        return sorted(chosen, key=lambda name: (-sign * names[name], len(examples[name].source), name))[:SHOWN]

    return [made(name) for name in order(changes, 1)], [made(name) for name in order(changes, -1)]
