"""What the study compares: parts (a corpus, a teacher, a start of the students), families of arms, and their search.

A cell is one family at one setting with one seed: an experiment of its own, whose steps all cells of a store share.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from mckd_ray.config import ExperimentConfig
from mckd_ray.config_file import read_config
from mckd_ray.plan.steps import Graph
from mckd_ray.runner.run import graph_of

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
SEARCH_SEED = 1
SEARCH_STAGES = 3
"""The search looks at K up to 3; larger ones take the setting of their family."""
STEPS = (175, 350)
MORE_STEPS = (175, 350, 700)
"""On the first corpus. No family that learns from the pool was best with 700 there, so other parts do not try it."""
SFT_STEPS = (350, 700)
"""Of families that learn from gold alone, whatever the part."""
DROPOUTS = (0.2, 0.4)
SCRATCH = ("student.base=null", "student.training.learning_rate=3.0e-3")
"""Students from random weights want a higher rate: that of the configs without a base."""


@dataclass(frozen=True)
class Family:
    """Arms of one kind, which are tuned together. `stages`: the largest K that is trained."""

    name: str
    system: str
    stages: int
    overrides: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    """The optimiser steps that it is searched over, if they are not those of the part."""
    like: str = ""
    """The family whose setting it takes, instead of a search of its own."""
    weights: tuple[int, ...] = (0,)
    """The weights of the labelled budget beside the pool. Where there are some, they are searched, not the steps."""
    keeps: tuple[float, ...] = (1.0,)
    """The shares of the pool's labels that are trained on: those that their labeller is most sure of."""

    @property
    def with_gold(self) -> bool:
        """Whether students train on the labelled budget beside the pool."""
        return self.weights != (0,)

    def arm(self, system: str) -> str:
        """What the tables call a system of its graph: `mckd-3` of `teacher+cross` is `MCKD-3 teacher+cross`."""
        _, dash, stages = system.rpartition("-")
        if self.system == "mckd":
            return f"MCKD-{stages} {self.name}"
        return f"{self.name} K={stages}" if dash and self.stages > 1 else self.name


def _with_gold(name: str, system: str, stages: int, *overrides: str) -> Family:
    return Family(f"{name} + gold", system, stages, overrides, STEPS[-1:], weights=(8, 32))


def _confident(name: str, system: str, stages: int) -> Family:
    return Family(f"{name} + gold, confident", system, stages, (), STEPS[-1:], weights=(8,), keeps=(0.3, 0.5, 0.7))


def _option(name: str, *overrides: str) -> Family:
    return Family(f"cross, {name}", "mckd", 3, overrides, like="cross")


FAMILIES = {
    family.name: family
    for family in (
        Family("sft", "sft", 1, (), SFT_STEPS),
        Family("kd", "kd", 1),
        Family("born-again", "born-again", 4),
        Family("self", "self", 3),
        Family("cross", "mckd", 4),
        Family("teacher+cross", "mckd", 4, ("plan.mix=teacher+cross",)),
        Family("sft-500", "sft", 1, ("corpus.labelled=500",), SFT_STEPS),
        _with_gold("kd", "kd", 1),
        _with_gold("born-again", "born-again", 4),
        _with_gold("cross", "mckd", 4),
        _with_gold("teacher+cross", "mckd", 4, "plan.mix=teacher+cross"),
        _confident("kd", "kd", 1),
        _confident("born-again", "born-again", 6),
        _confident("cross", "mckd", 6),
    )
}
WITH_GOLD = tuple(name for name, family in FAMILIES.items() if family.with_gold)
PLAIN = tuple(name for name in FAMILIES if name not in WITH_GOLD)
ALL = (*PLAIN, *WITH_GOLD)
CONFIDENT = tuple(name for name in WITH_GOLD if FAMILIES[name].keeps != (1.0,))
"""Those that train on the labels that their labeller is surest of."""
OPTIONS = {
    family.name: family
    for family in (
        _option("and self", "plan.mix=cross+self"),
        _option("best 70% by confidence", "plan.selection={by: confidence, keep: 0.7}"),
        _option("weighed by confidence", "plan.selection={by: confidence, weigh: true}"),
        _option("best 70% by agreement", "plan.selection={by: agreement, keep: 0.7}"),
        _option("weighed by agreement", "plan.selection={by: agreement, weigh: true}"),
        _option("P=4", "plan.partitions=4"),
        _option("P=4, by parts", "plan.partitions=4", "plan.consensus=parts"),
        _option("P=4, others", "plan.partitions=4", "plan.train_on=others"),
        _option("3 students each", "plan.students=3"),
        _option("3 students each, by parts", "plan.students=3", "plan.consensus=parts"),
    )
}
"""One setting of the method changed at a time, all else being that of `cross`."""
FAMILIES |= OPTIONS


@dataclass(frozen=True)
class Part:
    """A table of the study. `config` names one in configs/; `seeds` is how many seeds its chosen settings get."""

    name: str
    title: str
    config: str
    overrides: tuple[str, ...] = ()
    seeds: int = 5
    families: tuple[str, ...] = PLAIN
    steps: tuple[int, ...] = STEPS

    @property
    def pretrained(self) -> bool:
        """Whether its students start from the base."""
        return SCRATCH[0] not in self.overrides


PARTS = {
    part.name: part
    for part in (
        Part(
            "builtin",
            "Built-in corpus, pretrained base, a parser as the teacher",
            "builtin-cpu",
            families=ALL,
            steps=MORE_STEPS,
        ),
        Part("craft", "CRAFT, pretrained base, a parser of PTB and 50 shots as the teacher", "craft-cpu", (), 3, ALL),
        Part(
            "atis",
            "ATIS, pretrained base, a tagger of Snips and 50 shots as the teacher",
            "atis-cpu",
            seeds=3,
            families=(*PLAIN, *CONFIDENT),
        ),
        Part(
            "snips",
            "Snips, pretrained base, a tagger of ATIS and 50 shots as the teacher",
            "snips-cpu",
            seeds=3,
            families=(*PLAIN, *CONFIDENT),
        ),
        Part("options", "The method's options, on the built-in corpus", "builtin-cpu", (), 2, ("cross", *OPTIONS)),
        Part("craft-pool", "CRAFT, four times the pool", "craft-cpu", ("corpus.pool=8000",), 3, CONFIDENT),
        Part(
            "demo",
            "Built-in corpus, pretrained base, a language model as the teacher",
            "demo",
            seeds=3,
            families=("sft", "kd", "born-again", "cross", *CONFIDENT),
        ),
        Part("builtin-scratch", "Built-in corpus, students from scratch", "builtin-cpu", SCRATCH, 3),
        Part("craft-scratch", "CRAFT, students from scratch", "craft-cpu", SCRATCH, 3),
        Part("atis-scratch", "ATIS, students from scratch", "atis-cpu", SCRATCH, 3),
        Part("snips-scratch", "Snips, students from scratch", "snips-cpu", SCRATCH, 3),
    )
}
"""In the order of their worth: what comes first is run first."""


@dataclass(frozen=True)
class Setting:
    """What the search chooses, the same choices for every family."""

    steps: int
    dropout: float
    gold_weight: int = 0
    keep: float = 1.0

    def __str__(self) -> str:
        """As it stands in the tables."""
        gold = f", gold x{self.gold_weight}" if self.gold_weight else ""
        kept = f", surest {self.keep:.0%}" if self.keep < 1 else ""
        return f"{self.steps} steps, dropout {self.dropout:g}{gold}{kept}"


def grid(part: Part, family: Family, quick: bool = False) -> list[Setting]:
    """The settings that a family is searched over."""
    dropouts, steps = DROPOUTS[:1] if quick else DROPOUTS, family.steps or part.steps
    choices = product(family.keeps, family.weights, steps, dropouts)
    return [Setting(count, dropout, weight, keep) for keep, weight, count, dropout in choices]


@dataclass(frozen=True)
class Cell:
    """A family of a part at a setting, with one seed and K up to `stages`."""

    part: Part
    family: Family
    setting: Setting
    seed: int
    stages: int
    more: tuple[str, ...] = ()

    @cached_property
    def config(self) -> ExperimentConfig:
        """Its experiment. Students of all stages train alike: as many steps, at the same dropout."""
        # The teacher is asked in all but one, so that it labels the same splits, in one step, for all.
        systems = [self.family.system]
        if self.family.name != "sft-500":
            systems += ["teacher", "base"] if self.part.pretrained else ["teacher"]
        selection = f"{{by: confidence, keep: {self.setting.keep}}}" if self.setting.keep < 1 else "{by: none}"
        unseen = self.family.system != "sft" and not self.setting.gold_weight
        return read_config(
            CONFIGS / f"{self.part.config}.yaml",
            [
                *self.part.overrides,
                "plan.mix=cross",
                f"plan.selection={selection}",
                *self.family.overrides,
                f"student.training.steps={self.setting.steps}",
                f"student.training.dropout={self.setting.dropout}",
                "student.intermediate={}",
                f"plan.gold_weight={self.setting.gold_weight}",
                f"plan.systems={systems}",
                f"plan.stages={self.stages}",
                f"plan.seeds=[{self.seed}]",
                "plan.evaluate=[dev, test]",
                f"plan.stopping={'budget' if unseen else 'none'}",
                *self.more,
            ],
        )

    @cached_property
    def graph(self) -> Graph:
        """Its steps."""
        return graph_of(self.config)


def search_cells(part: Part, family: Family, quick: bool = False) -> list[Cell]:
    """The cells from which a family's setting is chosen, on dev; none if it takes another's."""
    if family.like:
        return []
    stages = min(family.stages, SEARCH_STAGES)
    return [Cell(part, family, setting, SEARCH_SEED, stages) for setting in grid(part, family, quick)]


def seed_cells(part: Part, family: Family, setting: Setting, seeds: int) -> Iterator[Cell]:
    """The cells of a family at its chosen setting."""
    for seed in range(1, seeds + 1):
        yield Cell(part, family, setting, seed, family.stages)
