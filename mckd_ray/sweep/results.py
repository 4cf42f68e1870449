"""What a sweep found: a row a trial, the best one, and whether it is better than the second by more than chance."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mckd_ray.config import ExperimentConfig
from mckd_ray.evaluation.significance import paired_test
from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.sweep.trials import Seen, Stage, Trial
from mckd_ray.tasks import TASKS

SIGNIFICANT = 0.05
Row = dict[str, Any]


@dataclass(frozen=True)
class Score:
    """The objective on dev for each seed, in percent, of the final student of a stage."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds, by which trials are ranked."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float | None:
        """The standard deviation over the seeds; None for one seed, which has none."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


def objective_of(config: ExperimentConfig) -> str:
    """The metric that ranks trials."""
    return (config.search.objective if config.search else "") or TASKS[config.task.kind].primary


def score_of(config: ExperimentConfig, store: Store, stage: Stage) -> Score:
    """The score of a stage whose evaluations are in the store."""
    metric = objective_of(config)
    records = [store.record(step.key) for step in stage.evaluations]
    return Score(tuple(float(record.facts["scores"][metric]) for record in records if record is not None))


def rows_of(config: ExperimentConfig, store: Store, trials: Sequence[Trial], seen: Sequence[Seen]) -> list[Row]:
    """A row for each trial, in order, from how it ended and what the store has of its steps."""
    rows: list[Row] = []
    earlier: set[str] = set()
    for number, (trial, end) in enumerate(zip(trials, seen, strict=True), 1):
        scores = [score_of(config, store, stage) for stage in trial.stages[: end.stage]]
        row = {"trial": number, "state": end.state, "reason": end.reason, **trial.point, "stage": end.stage}
        rows.append(row | _scores(scores) | _costs(store, trial.steps, earlier))
        earlier.update(step.digest for step in trial.steps)
    _mark(rows)
    return rows


def _scores(scores: Sequence[Score]) -> Row:
    last = scores[-1] if scores else None
    return {
        "score": last.mean if last else None,
        "spread": last.spread if last else None,
        "by_seed": list(last.values) if last else [],
        "by_stage": [score.mean for score in scores],
        "spread_by_stage": [score.spread for score in scores],
    }


def _costs(store: Store, steps: Sequence[Step], earlier: set[str]) -> Row:
    """What the trial would cost alone, what it cost on top of the trials before it, and what it shares with them."""
    records = {step.digest: store.record(step.key) for step in steps}
    there = [record for record in records.values() if record]
    added = [record for digest, record in records.items() if record and digest not in earlier]
    asked = [record.facts["teacher"]["all_rows"] for record in there if "teacher" in record.facts]
    money = [one["money"] for one in asked if one["money"] is not None]
    return {
        "seconds": sum(record.seconds for record in there),
        "seconds_added": sum(record.seconds for record in added),
        "tokens": sum(one["tokens_in"] + one["tokens_out"] for one in asked),
        "money": sum(money) if money else None,
        "steps": len(steps),
        "steps_reused": sum(digest in earlier for digest in records),
    }


def _mark(rows: Iterable[Row]) -> None:
    """Give finished rows their rank, and say which no other beats in score without costing more."""
    finished = ranked(rows)
    for row in rows:
        row |= {"rank": None, "pareto": False}
    highest = float("-inf")
    for row in sorted(finished, key=lambda row: (row["seconds"], -row["score"])):
        row["pareto"] = row["score"] > highest
        highest = max(highest, row["score"])
    for rank, row in enumerate(finished, 1):
        row["rank"] = rank


def ranked(rows: Iterable[Row]) -> list[Row]:
    """The finished rows, best first; of equal ones the cheaper first."""
    finished = [row for row in rows if row["state"] == "finished"]
    return sorted(finished, key=lambda row: (-row["score"], row["seconds"], row["trial"]))


def verdict(store: Store, trials: Sequence[Trial], rows: Sequence[Row]) -> Mapping[str, Any] | None:
    """Whether the best trial beats the second by more than the seeds' spread; None without a second.

    The paired test is over dev's inputs, each with its mean over the seeds. `beats` needs p below 0.05 and, with
    several seeds, a difference of scores above the spread of either. The best of many is best by luck too: a reason to
    look at test once the search is over.
    """
    best, *others = ranked(rows)
    if not others:
        return None
    second = others[0]
    before, after = (_values(store, trials[row["trial"] - 1].stages[-1]) for row in (second, best))
    test = paired_test([before[key] for key in after], list(after.values()))
    spreads = [row["spread"] for row in (best, second) if row["spread"] is not None]
    difference = best["score"] - second["score"]
    return {
        "best": best["trial"],
        "second": second["trial"],
        "difference": difference,
        "spread": max(spreads, default=None),
        "p_value": test.p_value,
        "beats": test.p_value < SIGNIFICANT and difference > max(spreads, default=0.0),
    }


def _values(store: Store, stage: Stage) -> dict[str, float]:
    """Each input's value, averaged over the seeds."""
    found = [_evaluation(store, step)["values"] for step in stage.evaluations]
    return {key: statistics.fmean(one[key] for one in found) for key in found[0]}


def _evaluation(store: Store, step: Step) -> dict[str, Any]:
    evaluation: dict[str, Any] = json.loads((store.place(step.key) / "evaluation.json").here().read_text("utf-8"))
    return evaluation
