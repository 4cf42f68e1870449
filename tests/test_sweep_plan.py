"""A sweep before it runs: its space, its trials, the steps that they share. No Ray."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from mckd_ray.cli import main
from mckd_ray.config import ExperimentConfig
from mckd_ray.config_file import read_config
from mckd_ray.errors import ConfigError
from mckd_ray.runner.run import graph_of
from mckd_ray.sweep.space import points
from mckd_ray.sweep.sweep import check_size, plan_of, planned
from mckd_ray.sweep.trials import distinct_steps
from tests.running import TINY

STAGES_AND_SHOTS = {"plan.stages": [1, 2, 3], "teacher.shots": [5, 20]}


def experiment(search: Any = None, **sections: Any) -> ExperimentConfig:
    config = {**TINY, "plan": {"systems": ["kd", "mckd"]}, "name": "tiny", "search": search, **sections}
    return ExperimentConfig.model_validate(config)


def space(**settings: Any) -> dict[str, Any]:
    return {"space": {name.replace("__", "."): values for name, values in settings.items()}}


def test_the_demo_costs_what_its_distinct_steps_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "configs/sweep-demo.yaml", "--plan", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert len(plan["trials"]) == 12
    # For each of 3 shots: a teacher; with each of 2 seeds 2 students at each of 3 stages, and 4 final ones. And a base.
    assert plan["steps"]["train"]["distinct"] == 3 * (1 + 2 * (2 * 3 + 4)) + 2
    assert plan["steps"]["all"]["apart"] == sum(trial["steps"] for trial in plan["trials"])


def test_more_stages_of_one_setting_are_one_chain() -> None:
    sweep = planned(experiment(space(plan__stages=[1, 2, 3])))
    longest = max(sweep.trials, key=lambda trial: len(trial.steps))
    assert {step.digest for step in distinct_steps(sweep.trials)} == {step.digest for step in longest.steps}


def test_trials_never_see_test() -> None:
    steps = distinct_steps(planned(experiment({"space": STAGES_AND_SHOTS})).trials)
    assert {step.settings["split"] for step in steps if step.kind == "evaluate"} == {"dev"}
    assert "test" not in {step.settings["split"] for step in steps if step.kind == "relabel"}


def test_a_trial_is_a_part_of_the_run_of_its_config() -> None:
    """So that `mckd run` on the best config goes on from what the sweep has done."""
    config = experiment({"space": STAGES_AND_SHOTS}, plan={"systems": ["teacher", "sft", "kd", "mckd"]})
    trial = planned(config).trials[-1]
    whole = graph_of(trial.config)
    assert {step.digest for step in trial.steps} < {step.digest for step in whole.steps}
    assert {"dev", "test"} == {scored.split for scored in whole.scored}
    assert {"teacher", "sft", "kd", "mckd-2", "mckd-3"} == {scored.system for scored in whole.scored}
    assert trial.config.search is None


def test_without_dev_a_part_of_the_budget_is_held_out() -> None:
    config = experiment(space(teacher__shots=[5, 10, 20]), corpus={**TINY["corpus"], "dev": 0})
    plan = plan_of(planned(config))
    assert plan["held_out"] == 4
    assert [trial["problem"] for trial in plan["trials"]][:2] == ["", ""]
    assert "less corpus.held_out (4), which is 16" in plan["trials"][2]["problem"]


def test_the_search_is_no_part_of_a_run() -> None:
    with_search, without = experiment({"space": STAGES_AND_SHOTS}), experiment()
    assert [step.digest for step in graph_of(with_search).steps] == [step.digest for step in graph_of(without).steps]


def test_points_of_each_algorithm() -> None:
    search = experiment({"space": STAGES_AND_SHOTS}).search
    assert search is not None
    assert [point["plan.stages"] for point in points(search)] == [1, 2, 3, 1, 2, 3]
    drawn = {"algorithm": "random", "samples": 4, **space(teacher__shots={"range": [2, 20, 2]})}
    drawn["space"]["student.training.learning_rate"] = {"loguniform": [1e-4, 1e-2]}
    random_search = experiment(drawn).search
    assert random_search is not None
    tried = points(random_search)
    assert tried == points(random_search)
    assert len(tried) == 4
    assert all(point["teacher.shots"] % 2 == 0 for point in tried)
    assert all(1e-4 <= point["student.training.learning_rate"] <= 1e-2 for point in tried)


def test_max_trials_cuts_a_grid_short() -> None:
    assert len(planned(experiment({"space": STAGES_AND_SHOTS, "max_trials": 4})).trials) == 4


@pytest.mark.parametrize(
    ("search", "words"),
    [
        (None, ["no search section"]),
        ({"space": {}}, ["search.space is empty"]),
        (space(plan__stage=[1]), ["no setting 'plan.stage'", "Did you mean 'plan.stages'"]),
        (space(shots=[1]), ["no setting 'shots'. Did you mean 'teacher.shots'?"]),
        (space(sortOf=[1]), ["no setting 'sortOf'", "corpus.labelled", "teacher, student, plan."]),
        (space(student__training=[1]), ["is a section", "student.training.steps"]),
        (space(plan__stages=[1, 0]), ["plan.stages is 0", "greater than or equal to 1"]),
        (space(student__kind=["tager"]), ["student.kind is 'tager'", "Did you mean 'tagger'"]),
        (space(resources__student__workers=[1, 2]), ["resources.student.workers", "never changes its result"]),
        (space(student__engine=["torch", "ctranslate2"]), ["student.engine", "chosen for its speed"]),
        (space(plan__seeds=[[1], [2]]), ["plan.seeds", "search.seeds"]),
        (space(corpus__dev=[10, 20]), ["corpus.dev", "could not be compared"]),
        ({**space(plan__stages=[1]), "objective": "unlabeled_f1"}, ["Did you mean 'unlabelled_f1'"]),
        ({**space(plan__stages=[1]), "seeds": [1, 1]}, ["search.seeds names one twice"]),
        (space(student__training__learning_rate={"uniform": [0.1, 0.2]}), ["continuous range", "random or optuna"]),
        (space(teacher__shots=[21, 22]), ["no point of search.space can be run", "teacher.shots is 21"]),
    ],
)
def test_what_no_sweep_could_do_is_one_sentence(search: Any, words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        planned(experiment(search))
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({"spaces": {}}, ["unknown key 'search.spaces'", "Did you mean 'space'"]),
        ({"space": {"plan.stages": []}}, ["search.space.plan.stages", "one value at least"]),
        ({"space": {"plan.stages": [1, 1]}}, ["none twice"]),
        ({"space": {"plan.stages": {"range": [3, 1]}}}, ["the lower one first"]),
        ({"space": {"plan.stages": {"chioce": [1]}}}, ["'search.space.plan.stages.chioce'", "Did you mean 'choice'"]),
        ({"space": {"plan.stages": [1]}, "algorithm": "tpe"}, ["search.algorithm is 'tpe'", "optuna"]),
    ],
)
def test_a_search_section_that_cannot_be_read(search: Any, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump({**TINY, "search": search}))
    with pytest.raises(ConfigError) as error:
        read_config(tmp_path / "bad.yaml")
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_large_grid_is_not_run_by_mistake() -> None:
    large = experiment(space(teacher__seed={"range": [1, 101]}))
    with pytest.raises(ConfigError, match="101 points; give --yes"):
        check_size(large)


def test_continuous_spaces_have_no_size() -> None:
    plan = plan_of(planned(experiment({"algorithm": "random", **space(teacher__temperature={"uniform": [0, 1]})})))
    assert plan["points"] is None
    assert not math.isinf(len(plan["trials"]))
