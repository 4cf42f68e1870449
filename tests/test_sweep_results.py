"""What a sweep makes of its steps' results: rows, ranks, cost, the verdict on the best, the budget. No Ray."""

import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from mckd_ray.plan.store import Store
from mckd_ray.runner.dispatch import Dispatcher
from mckd_ray.runner.reports import Report
from mckd_ray.storage.files import write_json
from mckd_ray.sweep.budget import TokenBudget
from mckd_ray.sweep.parquet import write_table
from mckd_ray.sweep.results import rows_of, verdict
from mckd_ray.sweep.sweep import Sweep, planned
from mckd_ray.sweep.tables import result_table
from mckd_ray.sweep.trials import Seen, Trial, distinct_steps
from tests.test_sweep_plan import experiment

SPACE = {"plan.stages": [1, 2], "teacher.shots": [5, 20]}
INPUTS = [f"dev-{number}" for number in range(40)]


def swept(root: Path, gain: float, noise: float = 2.0) -> Sweep:
    """A sweep whose steps took 10 s each; every stage gains as much, and 20 shots are 5 points above 5 shots."""
    search = {"space": SPACE, "seeds": [1, 2]}
    sweep = planned(experiment(search, store={"root": str(root)}))
    for step in distinct_steps(sweep.trials):
        if step.kind != "evaluate":
            sweep.store.finish(step, 100.0, 110.0, {}, {})
    rng = random.Random(1)
    for trial in sweep.trials:
        for stage in trial.stages:
            for step in stage.evaluations:
                mean = 50 + trial.point["teacher.shots"] / 4 + gain * stage.number
                values = {name: mean + rng.gauss(0, noise) for name in INPUTS}
                score = sum(values.values()) / len(values)
                write_json(sweep.store.folder(step.key) / "evaluation.json", {"values": values})
                sweep.store.finish(step, 100.0, 110.0, {"scores": {"unlabelled_f1": score}}, {})
    return sweep


def ends(sweep: Sweep) -> list[Seen]:
    return [Seen(trial.point, "finished", len(trial.stages), 0.0) for trial in sweep.trials]


def test_a_row_a_trial(tmp_path: Path) -> None:
    sweep = swept(tmp_path, gain=3)
    rows = rows_of(sweep.config, sweep.store, sweep.trials, ends(sweep))
    assert [(row["teacher.shots"], row["plan.stages"]) for row in rows] == [(5, 1), (5, 2), (20, 1), (20, 2)]
    assert [row["rank"] for row in rows] == [4, 3, 2, 1]
    assert len(rows[3]["by_seed"]) == 2
    assert rows[3]["by_stage"][-1] == rows[3]["score"]
    assert rows[3]["by_stage"][0] == rows[2]["score"], "two stages go on from one"


def test_costs_alone_and_on_top(tmp_path: Path) -> None:
    sweep = swept(tmp_path, gain=3)
    rows = rows_of(sweep.config, sweep.store, sweep.trials, ends(sweep))
    assert all(row["seconds"] == 10 * row["steps"] for row in rows)
    assert all(row["seconds_added"] == 10 * (row["steps"] - row["steps_reused"]) for row in rows)
    assert sum(row["steps"] - row["steps_reused"] for row in rows) == len(distinct_steps(sweep.trials))


def test_the_front_is_what_nothing_beats_for_less(tmp_path: Path) -> None:
    """More shots cost no more here, so trials with few are behind; the second stage with many gains for its price."""
    sweep = swept(tmp_path, gain=3)
    rows = rows_of(sweep.config, sweep.store, sweep.trials, ends(sweep))
    assert [row["pareto"] for row in rows] == [False, False, True, True]


@pytest.mark.parametrize(("gain", "noise", "beats"), [(10, 1.0, True), (0, 8.0, False)])
def test_the_best_is_better_only_if_beyond_chance(tmp_path: Path, gain: float, noise: float, beats: bool) -> None:
    sweep = swept(tmp_path, gain, noise)
    rows = rows_of(sweep.config, sweep.store, sweep.trials, ends(sweep))
    found = verdict(sweep.store, sweep.trials, rows)
    assert found is not None
    assert found["beats"] is beats
    assert found["difference"] >= 0
    assert found["spread"] > 0


def test_failed_and_stopped_trials_have_no_rank(tmp_path: Path) -> None:
    sweep = swept(tmp_path, gain=3)
    seen = ends(sweep)
    seen[0] = Seen(seen[0].point, "failed", 0, None, "train kd seed 1: no room")
    seen[3] = Seen(seen[3].point, "stopped", 1, 58.0, "by asha after stage 1")
    rows = rows_of(sweep.config, sweep.store, sweep.trials, seen)
    assert [row["rank"] for row in rows] == [None, 2, 1, None]
    assert (rows[0]["score"], rows[3]["score"]) == (None, rows[2]["score"])
    text = printed({"name": "tiny", "objective": "unlabelled_f1", "trials": rows, "settings": list(SPACE)})
    assert "failed train kd seed 1: no room" in text
    assert "stopped by asha after stage 1" in text


def printed(result: dict[str, Any]) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        steps = {"all": {"distinct": 3, "apart": 9}}
        console.print(result_table({"verdict": None, "executed": 3, "steps": steps, **result}))
    return capture.get()


def test_settings_of_several_types_are_one_column(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"trial": 1, "student.model": "scratch"}, {"trial": 2, "student.model": 3}]
    write_table(rows, tmp_path / "table.parquet")
    assert pq.read_table(tmp_path / "table.parquet").to_pylist()[1] == {"trial": 2, "student.model": "3"}


def asked(sweep: Sweep, trial: Trial, tokens: int) -> Store:
    (label,) = (step for step in trial.steps if step.kind == "label")
    facts = {"teacher": {"tokens_in": tokens - 10, "tokens_out": 10}}
    sweep.store.finish(label, 200.0, 210.0, facts, {})
    return sweep.store


def test_a_budget_counts_what_the_sweep_has_asked(tmp_path: Path) -> None:
    sweep = planned(experiment({"space": SPACE}, store={"root": str(tmp_path)}))
    store, steps = asked(sweep, sweep.trials[0], 100), distinct_steps(sweep.trials)
    assert TokenBudget(101, started=150.0).refusal(store, steps) == ""
    assert "search.max_teacher_tokens is 100, and 100 are spent" in TokenBudget(100, started=150.0).refusal(
        store, steps
    )
    assert TokenBudget(100, started=250.0).refusal(store, steps) == "", "what was asked before the sweep is not its own"
    assert TokenBudget(None, started=0.0).refusal(store, steps) == ""


def test_no_labelling_begins_beyond_the_budget(tmp_path: Path) -> None:
    """The step is a failed one with the reason; nothing is given to Ray."""
    teacher = {"engine": "openai", "model": "m", "shots": 5}
    sweep = planned(experiment({"space": {"plan.stages": [1]}}, teacher=teacher, store={"root": str(tmp_path)}))
    (label,) = (step for step in sweep.trials[0].steps if step.kind == "label")
    dispatcher = Dispatcher(sweep.store, sweep.config.resources, refusal=lambda: "all tokens are spent")
    for need in label.inputs.values():
        dispatcher.reports[need.digest] = Report(need.digest, "reused", 0.0, 0.0)
    dispatcher.add([label])
    dispatcher.poll(0)
    report = dispatcher.reports[label.digest]
    assert (report.state, report.message) == ("failed", "all tokens are spent")
    assert not dispatcher.busy
