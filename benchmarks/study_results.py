"""What is known of the study: the setting that the search chose, arms with their scores by seed, label quality."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study_arms import FAMILIES, SEARCH_SEED, SEARCH_STAGES, Cell, Family, Part, Setting, search_cells, seed_cells
from study_errors import Changes
from study_findings import Findings, Found

from mckd_ray.evaluation import PairedTest
from mckd_ray.evaluation.significance import paired_test_over_seeds
from mckd_ray.tasks import TASKS

Splits = Mapping[str, Found]


@dataclass(frozen=True)
class Arm:
    """A row of a table: a system at its setting, with its evaluations by seed and split."""

    name: str
    family: str
    setting: Setting | None
    primary: str
    seeds: Mapping[int, Splits]

    def scores(self, split: str) -> list[float]:
        """The task's primary score of each seed."""
        return [splits[split].scores[self.primary] for splits in self.seeds.values()]

    def mean(self, split: str) -> float:
        """Over the seeds."""
        return statistics.fmean(self.scores(split))

    def over(self, other: "Arm") -> PairedTest:
        """The gain over another arm on test: a paired test over the inputs, each averaged over the seeds."""
        values = ([splits["test"].values for splits in arm.seeds.values()] for arm in (other, self))
        return paired_test_over_seeds(*values)


def primary_of(part: Part, families: Sequence[Family]) -> str:
    """The metric by which a part's arms are ranked."""
    return TASKS[Cell(part, families[0], Setting(1, 0), SEARCH_SEED, 1).config.task.kind].primary


def evaluations(cell: Cell, findings: Findings) -> dict[str, dict[str, Found]]:
    """By system and split, what of a cell has been scored."""
    found: dict[str, dict[str, Found]] = {}
    for scored in cell.graph.scored:
        if (scores := findings.scored(scored.step)) is not None:
            found.setdefault(scored.system, {})[scored.split] = scores
    return found


def own_systems(cell: Cell, findings: Findings) -> dict[str, dict[str, Found]]:
    """The evaluations of the systems of the cell's own family, where both dev and test are there."""
    return {
        system: splits
        for system, splits in evaluations(cell, findings).items()
        if system not in ("teacher", "base") and {"dev", "test"} <= splits.keys()
    }


def chosen_setting(part: Part, family: Family, findings: Findings, quick: bool) -> Setting | None:
    """The setting at which the mean of the family's arms on dev is best; None before its search has ended."""
    if family.like:
        return chosen_setting(part, FAMILIES[family.like], findings, quick)
    best: tuple[float, Setting] | None = None
    for cell in search_cells(part, family, quick):
        found = own_systems(cell, findings)
        if len(found) < max(1, cell.stages - 1):
            return None
        score = statistics.fmean(splits["dev"].scores[primary_of(part, [family])] for splits in found.values())
        if best is None or score > best[0]:
            best = score, cell.setting
    return best[1] if best else None


def arms_of(part: Part, families: Sequence[Family], findings: Findings, seeds: int, quick: bool) -> list[Arm]:
    """The teacher, the base, and the arms of each family whose search has ended, with the seeds that are there."""
    primary, arms = primary_of(part, families), dict[str, Arm]()
    for family in families:
        setting = chosen_setting(part, family, findings, quick)
        if setting is None:
            continue
        found: dict[str, dict[int, Splits]] = {}
        for cell in seed_cells(part, family, setting, seeds):
            for system, splits in evaluations(cell, findings).items():
                if not {"dev", "test"} <= splits.keys():
                    continue
                if system in ("teacher", "base"):
                    arms.setdefault(system, Arm(system, system, None, primary, {0: splits}))
                else:
                    found.setdefault(family.arm(system), {})[cell.seed] = splits
        arms |= {name: Arm(name, family.name, setting, primary, by_seed) for name, by_seed in found.items()}
    first = [name for name in ("teacher", "base") if name in arms]
    return [arms[name] for name in [*first, *(name for name in arms if name not in first)]]


@dataclass(frozen=True)
class PoolLabels:
    """How good a table of the pool's labels is, over the seeds; changes and kinds of error are the first seed's.

    `kinds`: errors of each kind in 100 inputs; empty where the labels are gone.
    """

    name: str
    scores: list[float]
    changes: Changes | None
    kinds: Mapping[str, float]


def pool_labels(
    part: Part, families: Sequence[Family], findings: Findings, seeds: int, quick: bool
) -> list[PoolLabels]:
    """The pool's labels by family and stage, the teacher's first."""
    primary, found = primary_of(part, families), dict[str, PoolLabels]()
    for family in families:
        setting = chosen_setting(part, family, findings, quick)
        for cell in seed_cells(part, family, setting, seeds) if setting else ():
            first = cell.seed == SEARCH_SEED
            changed, kinds = (findings.changes(cell), findings.error_kinds(cell)) if first else ({}, {})
            for name, step in cell.graph.quality.items():
                scores = findings.scored(step)
                if scores is None:
                    continue
                stage = name.removeprefix(f"{family.system} labels ").partition(" ")[0]
                key = "teacher" if name == "teacher labels" else f"{family.name}, after stage {stage}"
                row = found.setdefault(key, PoolLabels(key, [], changed.get(name), kinds.get(name, {})))
                row.scores.append(scores.scores[primary])
    return sorted(found.values(), key=lambda row: row.name != "teacher")


def by_setting(
    part: Part, families: Sequence[Family], findings: Findings, quick: bool
) -> dict[Setting, dict[str, tuple[float, float]]]:
    """For each setting of the search, by family: the scores of the pool's last labels, and on test of those they teach.

    The last are those after `SEARCH_STAGES - 1` stages.
    """
    primary, found = primary_of(part, families), dict[Setting, dict[str, tuple[float, float]]]()
    for family in families:
        if family.stages < SEARCH_STAGES or family.with_gold or family.like:
            continue
        for cell in search_cells(part, family, quick):
            final = own_systems(cell, findings).get(f"{family.system}-{SEARCH_STAGES}")
            last = f"{family.system} labels {SEARCH_STAGES - 1} seed {SEARCH_SEED}"
            labels = findings.scored(cell.graph.quality[last]) if last in cell.graph.quality else None
            if final and labels:
                scores = labels.scores[primary], final["test"].scores[primary]
                found.setdefault(cell.setting, {})[family.name] = scores
    return found


def stage_choices(
    part: Part, families: Sequence[Family], findings: Findings, seeds: int, quick: bool
) -> dict[str, dict[str, tuple[int, float]]]:
    """By family and rule, the number of stages that it picks at the family's setting, and that arm's score on test."""
    every = arms_of(part, families, findings, seeds, quick)
    arms = {arm.name: arm for arm in every if all("labelled" in splits for splits in arm.seeds.values())}
    found: dict[str, dict[str, tuple[int, float]]] = {}
    for family in families:
        if family.stages == 1 or family.with_gold or family.like:
            continue
        names = {1: "kd", **{stages: family.arm(f"{family.system}-{stages}") for stages in range(2, family.stages + 1)}}
        mine = {stages: arms[name] for stages, name in names.items() if name in arms}
        if len(mine) < family.stages:
            continue
        picks = {split: max(mine, key=lambda stages: mine[stages].mean(split)) for split in ("dev", "labelled")}
        if family.name == "cross":
            picks["agreement"] = 1 + _most_agreeing(part, family, findings, seeds, quick)
        found[family.name] = {rule: (stages, mine[stages].mean("test")) for rule, stages in picks.items()}
    return found


def _most_agreeing(part: Part, family: Family, findings: Findings, seeds: int, quick: bool) -> int:
    """The intermediate stage whose two students agree most, over the seeds."""
    setting = chosen_setting(part, family, findings, quick)
    cells = list(seed_cells(part, family, setting, seeds)) if setting else []

    def mean(stage: int) -> float:
        known = [value for cell in cells if (value := findings.agreement(cell, stage)) is not None]
        return statistics.fmean(known) if known else 0.0

    return max(range(1, family.stages), key=mean)


def choices_without_gold(
    part: Part, families: Sequence[Family], findings: Findings, quick: bool
) -> Iterator[dict[str, Any]]:
    """For each arm of the search and each rule, the setting that it picks, with its score on dev and test."""
    primary = primary_of(part, families)
    crossing = next((family for family in families if family.name == "cross"), None)
    agreeing = {
        cell.setting: findings.agreement(cell, 1) for cell in (search_cells(part, crossing, quick) if crossing else ())
    }
    for family in families:
        if family.system == "sft" or family.with_gold or family.like:
            continue
        cells = [(cell.setting, own_systems(cell, findings)) for cell in search_cells(part, family, quick)]
        for system in cells[0][1]:
            rows = [(setting, found[system]) for setting, found in cells if "labelled" in found.get(system, {})]
            if len(rows) < len(cells) or any(agreeing.get(setting) is None for setting, _ in rows):
                continue
            rules = {
                "dev": lambda row: row[1]["dev"].scores[primary],
                "labelled budget": lambda row: row[1]["labelled"].scores[primary],
                "agreement of the two students": lambda row: agreeing[row[0]],
                "the first setting of the grid": lambda row: 0,
            }
            for rule, key in rules.items():
                setting, splits = max(rows, key=key)
                scores = {split: splits[split].scores[primary] for split in ("dev", "test")}
                yield {"arm": family.arm(system), "rule": rule, "setting": setting, **scores}
