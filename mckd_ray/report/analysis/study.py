"""All that the report says of a run, computed once, when it is first asked for."""

from functools import cached_property

from mckd_ray.report.analysis.errors import ErrorCounts, count_errors
from mckd_ray.report.analysis.examples import SideBySide, side_by_side
from mckd_ray.report.analysis.inputs import (
    ConfidenceBin,
    GainBin,
    LengthBin,
    gain_by_teacher,
    reliability,
    score_by_length,
)
from mckd_ray.report.analysis.pool import Pool
from mckd_ray.report.analysis.run import Run
from mckd_ray.report.analysis.spending import Timeline, timeline
from mckd_ray.report.analysis.systems import Gain, StagePoint, System, best_of, gain, gains, stages, systems_of
from mckd_ray.report.analysis.training import Curve, learning_curves


class Study:
    """A run, looked at."""

    def __init__(self, run: Run) -> None:
        """Nothing is read yet."""
        self.run, self.split, self.metric = run, run.split, run.task.primary
        self.pool = Pool(run)

    @cached_property
    def systems(self) -> dict[str, System]:
        """The systems that have a score on the report's split."""
        return systems_of(self.run, self.split)

    @cached_property
    def best(self) -> System | None:
        """The system with the highest score."""
        return best_of(self.systems, self.metric) if self.systems else None

    @cached_property
    def distilled(self) -> System | None:
        """The best system with two stages or more: of MCKD itself, where it was run, else of its ablations."""
        staged = {name: system for name, system in self.systems.items() if system.chain is not None}
        own = {name: system for name, system in staged.items() if name.startswith("mckd")}
        return best_of(own or staged, self.metric) if staged else None

    @cached_property
    def featured(self) -> list[System]:
        """The systems that plots compare: the teacher, SFT, KD and the best with stages; else those that there are."""
        last = [self.distilled.name] if self.distilled else []
        named = [self.systems[name] for name in ("teacher", "sft", "kd", *last) if name in self.systems]
        return named or list(self.systems.values())

    @cached_property
    def compared(self) -> list[System]:
        """The systems that examples and errors compare: as `featured`, without SFT, which is no distillation."""
        return [system for system in self.featured if system.name != "sft"] or self.featured

    @cached_property
    def gains(self) -> dict[tuple[str, str], Gain]:
        """Each system over teacher and KD."""
        return gains(self.systems)

    @cached_property
    def leads(self) -> list[Gain]:
        """The best system over all others that a reader asks about first: the best of the rest, teacher and KD."""
        if self.best is None or len(self.systems) < 2:
            return []
        rest = {name: system for name, system in self.systems.items() if name != self.best.name}
        others = dict.fromkeys([best_of(rest, self.metric).name, "teacher", "kd"])
        return [
            self.gains.get((self.best.name, name)) or gain(self.best, rest[name]) for name in others if name in rest
        ]

    @cached_property
    def stages(self) -> dict[str, list[StagePoint]]:
        """Scores by number of stages."""
        return stages(self.systems, self.metric)

    @cached_property
    def by_teacher(self) -> dict[str, list[GainBin]]:
        """Each featured student's gain by the teacher's own score."""
        teacher = self.systems.get("teacher")
        if teacher is None:
            return {}
        before = teacher.by_input
        return {
            system.name: gain_by_teacher(before, system.by_input)
            for system in self.featured
            if system.name != "teacher"
        }

    @cached_property
    def by_length(self) -> dict[str, list[LengthBin]]:
        """Each featured system's score by length."""
        examples = self.run.examples(self.split)
        return {system.name: score_by_length(examples, system.by_input) for system in self.featured}

    @cached_property
    def confidence(self) -> dict[str, list[ConfidenceBin]]:
        """Each featured system's score by confidence, of those that have one."""
        found = {}
        for system in self.featured:
            bins = reliability([self.run.labels(table) for table in system.tables], system.values)
            if bins:
                found[system.name] = bins
        return found

    @cached_property
    def curves(self) -> list[Curve]:
        """The learning curves."""
        return learning_curves(self.run)

    @cached_property
    def errors(self) -> list[ErrorCounts]:
        """The errors of the systems compared."""
        return count_errors(self.run, self.compared, self.split) if self.systems else []

    @cached_property
    def examples(self) -> tuple[list[SideBySide], list[SideBySide]]:
        """Gains and losses of the last of the systems compared over the first."""
        return side_by_side(self.run, self.compared, self.split) if len(self.compared) > 1 else ([], [])

    @cached_property
    def timeline(self) -> Timeline:
        """When the steps ran."""
        return timeline(self.run)
