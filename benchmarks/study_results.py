"""What the store has of the study: the setting that the search chose, arms with their scores by seed, label quality."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from study_arms import FAMILIES, SEARCH_SEED, Cell, Family, Part, Setting, search_cells, seed_cells
from study_errors import Changes, changes

from mckd_ray.config_file import section_settings
from mckd_ray.evaluation import Evaluation, PairedTest
from mckd_ray.evaluation.significance import paired_test_over_seeds
from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.records import Example, Label, read_rows
from mckd_ray.tasks import TASKS

Splits = Mapping[str, Evaluation]


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

    def wins(self, other: "Arm") -> str:
        """With how many of the seeds that both have, this arm's score on test is the higher one."""
        both = sorted(self.seeds.keys() & other.seeds.keys())
        mine, others = ({seed: arm.seeds[seed]["test"].scores[self.primary] for seed in both} for arm in (self, other))
        return f"{sum(mine[seed] > others[seed] for seed in both)}/{len(both)}" if both else ""


def primary_of(part: Part, families: Sequence[Family]) -> str:
    """The metric by which a part's arms are ranked."""
    return TASKS[Cell(part, families[0], Setting(1, 0), SEARCH_SEED, 1).config.task.kind].primary


def evaluations(cell: Cell, store: Store) -> dict[str, dict[str, Evaluation]]:
    """By system and split, what of a cell has been scored."""
    found: dict[str, dict[str, Evaluation]] = {}
    for scored in cell.graph.scored:
        if store.record(scored.step.key) is not None:
            found.setdefault(scored.system, {})[scored.split] = read_evaluation(store.folder(scored.step.key))
    return found


@cache
def read_evaluation(folder: Path) -> Evaluation:
    """What an `evaluate` step left."""
    return Evaluation(**json.loads((folder / "evaluation.json").read_text(encoding="utf-8")))


def own_systems(cell: Cell, store: Store) -> dict[str, dict[str, Evaluation]]:
    """The evaluations of the systems of the cell's own family, where both dev and test are there."""
    return {
        system: splits
        for system, splits in evaluations(cell, store).items()
        if system not in ("teacher", "base") and {"dev", "test"} <= splits.keys()
    }


def chosen_setting(part: Part, family: Family, store: Store, quick: bool) -> Setting | None:
    """The setting at which the mean of the family's arms on dev is best; None before its search has ended."""
    if family.like:
        return chosen_setting(part, FAMILIES[family.like], store, quick)
    best: tuple[float, Setting] | None = None
    for cell in search_cells(part, family, quick):
        found = own_systems(cell, store)
        if len(found) < max(1, cell.stages - 1):
            return None
        score = statistics.fmean(splits["dev"].scores[primary_of(part, [family])] for splits in found.values())
        if best is None or score > best[0]:
            best = score, cell.setting
    return best[1] if best else None


def arms_of(part: Part, families: Sequence[Family], store: Store, seeds: int, quick: bool) -> list[Arm]:
    """The teacher, the base, and the arms of each family whose search has ended, with the seeds that are there."""
    primary, arms = primary_of(part, families), dict[str, Arm]()
    for family in families:
        setting = chosen_setting(part, family, store, quick)
        if setting is None:
            continue
        found: dict[str, dict[int, Splits]] = {}
        for cell in seed_cells(part, family, setting, seeds):
            for system, splits in evaluations(cell, store).items():
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
    """How good a table of the pool's labels is, over the seeds; its changes are those of the first seed."""

    name: str
    scores: list[float]
    changes: Changes | None


def pool_labels(part: Part, families: Sequence[Family], store: Store, seeds: int, quick: bool) -> list[PoolLabels]:
    """The pool's labels by family and stage, the teacher's first."""
    primary, found = primary_of(part, families), dict[str, PoolLabels]()
    for family in families:
        setting = chosen_setting(part, family, store, quick)
        for cell in seed_cells(part, family, setting, seeds) if setting else ():
            changed = changes(cell, store) if cell.seed == SEARCH_SEED else {}
            for name, step in cell.graph.quality.items():
                record = store.record(step.key)
                if record is None or not record.facts["count"]:
                    continue
                stage = name.removeprefix(f"{family.system} labels ").partition(" ")[0]
                key = "teacher" if name == "teacher labels" else f"{family.name}, after stage {stage}"
                row = found.setdefault(key, PoolLabels(key, [], changed.get(name)))
                row.scores.append(record.facts["scores"][primary])
    return sorted(found.values(), key=lambda row: row.name != "teacher")


# What may choose settings without gold: the agreement of the two students of a stage on inputs that neither has seen.


def agreement_steps(cell: Cell) -> list[Step]:
    """Steps beside a cell's graph: dev, without its gold, labelled by the students of the intermediate stages."""
    return [step for pair in _pairs(cell).values() for step in pair]


def _pairs(cell: Cell) -> dict[int, list[Step]]:
    """By stage, the steps by which its two students label dev."""
    if cell.family.name != "cross":
        return {}
    corpus = cell.graph.steps[0]
    settings = {"task": cell.config.task.kind, "split": "dev"}
    options = section_settings(cell.config.resources.labelling)
    return {
        stage: [
            Step("relabel", f"label dev by {step.name}", settings, {"corpus": corpus, "student": step}, options)
            for step in cell.graph.steps
            if step.name.startswith(f"train mckd stage {stage} ")
        ]
        for stage in range(1, cell.stages)
    }


def agreement(cell: Cell, stage: int, store: Store) -> float | None:
    """How well the two students of a stage agree on dev, in percent of the task's score; None if not known."""
    pair = _pairs(cell).get(stage, [])
    if len(pair) != 2 or any(store.record(step.key) is None for step in pair):
        return None
    task = TASKS[cell.config.task.kind]
    examples = read_rows(store.folder(cell.graph.steps[0].key) / "dev.parquet", Example)
    tables = [read_rows(store.folder(step.key) / "labels.parquet", Label) for step in pair]
    return statistics.fmean(
        task.example_value(task.counts(one.target, other.target, example))
        for example, one, other in zip(examples, *tables, strict=True)
    )


def stage_choices(
    part: Part, families: Sequence[Family], store: Store, seeds: int, quick: bool
) -> dict[str, dict[str, tuple[int, float]]]:
    """By family and rule, the number of stages that it picks at the family's setting, and that arm's score on test."""
    every = arms_of(part, families, store, seeds, quick)
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
            picks["agreement"] = 1 + _most_agreeing(part, family, store, seeds, quick)
        found[family.name] = {rule: (stages, mine[stages].mean("test")) for rule, stages in picks.items()}
    return found


def _most_agreeing(part: Part, family: Family, store: Store, seeds: int, quick: bool) -> int:
    """The intermediate stage whose two students agree most, over the seeds."""
    setting = chosen_setting(part, family, store, quick)
    cells = list(seed_cells(part, family, setting, seeds)) if setting else []

    def mean(stage: int) -> float:
        known = [value for cell in cells if (value := agreement(cell, stage, store)) is not None]
        return statistics.fmean(known) if known else 0.0

    return max(range(1, family.stages), key=mean)


def choices_without_gold(part: Part, families: Sequence[Family], store: Store, quick: bool) -> Iterator[dict[str, Any]]:
    """For each arm of the search and each rule, the setting that it picks, with its score on dev and test."""
    primary = primary_of(part, families)
    crossing = next((family for family in families if family.name == "cross"), None)
    agreeing = {
        cell.setting: agreement(cell, 1, store) for cell in (search_cells(part, crossing, quick) if crossing else ())
    }
    for family in families:
        if family.system == "sft" or family.with_gold or family.like:
            continue
        cells = [(cell.setting, own_systems(cell, store)) for cell in search_cells(part, family, quick)]
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
