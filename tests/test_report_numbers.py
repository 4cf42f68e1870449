"""The numbers of the report, against the same computed another way."""

import math
import statistics
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from mckd_ray.corpora.splits import partition
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.report.analysis.inputs import calibration_error, gain_by_teacher, reliability, score_by_length
from mckd_ray.report.analysis.pool import Pool
from mckd_ray.report.analysis.run import Run, sample
from mckd_ray.report.analysis.spending import cost_by_kind, state_of, timeline
from mckd_ray.report.analysis.study import Study
from mckd_ray.report.analysis.training import learning_curves
from tests.small_run import SECONDS, small_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(small_run(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def study(run: Run) -> Study:
    return Study(run)


def test_systems_have_the_scores_of_the_result(run: Run, study: Study) -> None:
    assert run.result is not None
    assert list(study.systems) == list(run.result["systems"])
    for name, system in study.systems.items():
        known = run.result["systems"][name]
        assert system.mean("unlabelled_f1") == pytest.approx(known["unlabelled_f1"]["mean"])
        assert system.spread("unlabelled_f1") == pytest.approx(known["unlabelled_f1"]["spread"])
        assert (system.coverage, system.seconds) == (known["coverage"], known["seconds"])
    assert study.best is not None
    assert study.best.name == max(study.systems, key=lambda name: run.result["systems"][name]["unlabelled_f1"]["mean"])  # type: ignore[index]


def test_gains_are_tested_as_scipy_tests_them(study: Study) -> None:
    before, after = study.systems["kd"].by_input, study.systems["mckd-3"].by_input
    found = study.gains["mckd-3", "kd"].test
    differences = [after[name] - before[name] for name in before]
    known = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=1)
    assert found.difference == pytest.approx(statistics.fmean(differences))
    assert found.p_value == pytest.approx(known.pvalue, abs=0.015)


def test_stages_start_with_kd(study: Study) -> None:
    found = {method: [point.stages for point in points] for method, points in study.stages.items()}
    assert found == {"mckd": [1, 2, 3], "self": [1, 2, 3]}
    assert study.stages["mckd"][0].scores == study.systems["kd"].scores["unlabelled_f1"]
    assert study.stages["self"][2].scores == study.systems["self-3"].scores["unlabelled_f1"]


def test_label_quality_by_stage_and_partition(run: Run, study: Study) -> None:
    """From the label tables and gold themselves, each partition apart."""
    examples, gold, task = run.examples("pool"), run.gold("pool"), run.task
    tables = {"teacher labels": next(step.key for step in run.steps if step.kind == "label")}
    for step in run.steps:
        if step.kind == "merge":
            _, stage, method, _, seed = step.name.split()
            tables[f"{method} labels {stage} seed {seed}"] = step.key
    for one in study.pool.quality:
        labels = run.labels(tables[one.table])
        scores = [
            task.example_value(task.counts(gold[name], labels[name].target, examples[name]))
            for name in examples
            if partition(name, 2) == one.partition
        ]
        assert one.mean == pytest.approx(statistics.fmean(scores))
        assert one.count == len(scores)
    origins = {(one.table.split()[0], one.stage): one.origin for one in study.pool.quality}
    assert origins == {
        ("teacher", 0): "teacher",
        ("mckd", 1): "cross",
        ("mckd", 2): "cross",
        ("self", 1): "own",
        ("self", 2): "own",
    }


def test_fit_to_clean_and_noisy_pseudolabels(run: Run, study: Study) -> None:
    examples, gold, task = run.examples("pool"), run.gold("pool"), run.task
    teacher = run.labels(next(step.key for step in run.steps if step.kind == "label"))
    agreements = defaultdict(list)
    for seed in (1, 2):
        labels = run.labels(next(step.key for step in run.steps if step.name == f"labels 1 mckd seed {seed}"))
        for name, example in examples.items():
            clean = task.counts(gold[name], teacher[name].target, example)["unlabelled_f1"] == 1
            agreement = task.counts(teacher[name].target, labels[name].target, example)["unlabelled_f1"]
            agreements[clean].append(100 * agreement)
    found = {one.clean: one for one in study.pool.fit if (one.stage, one.origin) == (1, "cross")}
    assert set(found) == {True, False}
    for clean, values in agreements.items():
        assert found[clean].agreement == pytest.approx(statistics.fmean(values))
        assert found[clean].count == len(values)


def test_a_student_that_sees_other_partitions_labels_cross(tmp_path: Path) -> None:
    changes = {"plan": {"stages": 2, "partitions": 3, "train_on": "others", "systems": ["mckd"], "seeds": [1]}}
    pool = Pool(Run(small_run(tmp_path, changes)))
    assert [(table.stage, table.origin) for table in pool.tables] == [(0, "teacher"), (1, "cross")]
    assert {one.partition for one in pool.quality} == {0, 1, 2}


def test_gain_by_the_teachers_own_score() -> None:
    dice = np.random.default_rng(0)
    teacher = {f"id-{place:03d}": float(value) for place, value in enumerate(dice.choice([0, 50, 80, 100], 203))}
    student = {name: float(value) for name, value in zip(teacher, dice.uniform(0, 100, 203), strict=True)}
    bins = gain_by_teacher(teacher, student)
    assert [one.count for one in bins] == [21, 21, 21, *[20] * 7]
    ordered = sorted((score, name) for name, score in teacher.items())
    third = [name for _, name in ordered[42:63]]
    gains = [student[name] - teacher[name] for name in third]
    assert bins[2].teacher == pytest.approx(statistics.fmean(teacher[name] for name in third))
    assert bins[2].gain == pytest.approx(statistics.fmean(gains))
    assert bins[2].error == pytest.approx(1.96 * statistics.pstdev(gains) / math.sqrt(21))
    total = sum(one.gain * one.count for one in bins) / 203
    assert total == pytest.approx(statistics.fmean(student.values()) - statistics.fmean(teacher.values()))


def test_gain_of_fewer_inputs_than_tenths() -> None:
    assert [one.gain for one in gain_by_teacher({"a": 10.0, "b": 5.0}, {"a": 11.0, "b": 9.0})] == [4.0, 1.0]
    assert gain_by_teacher({}, {}) == []


def test_score_by_length_groups_every_input_once() -> None:
    dice = np.random.default_rng(1)
    examples = {str(name): Example(str(name), tokens=("w",) * int(dice.integers(1, 30))) for name in range(150)}
    values = {name: float(100 - len(example.tokens)) for name, example in examples.items()}
    bins = score_by_length(examples, values)
    assert sum(one.count for one in bins) == 150
    assert len(bins) == 5
    assert all(before.longest < after.shortest for before, after in pairwise(bins))
    for one in bins:
        inside = [values[name] for name in examples if one.shortest <= len(examples[name].tokens) <= one.longest]
        assert one.mean == pytest.approx(statistics.fmean(inside))
        assert one.count == len(inside)


def test_texts_are_as_long_as_they_have_words() -> None:
    examples = {"a": Example("a", text="one two three"), "b": Example("b", text="one")}
    assert [(one.shortest, one.mean) for one in score_by_length(examples, {"a": 3.0, "b": 1.0})] == [(1, 1.0), (3, 3.0)]


def test_reliability_of_a_model_that_knows_what_it_knows() -> None:
    """Its answers score what its confidence says, so all bins lie on the diagonal; an overconfident one is off it."""
    shares = [place / 100 for place in range(1, 101)]
    labels = {str(share): Label(str(share), "t", "t", Outcome.OK, math.log(share)) for share in shares}
    bins = reliability([labels], [{str(share): 100 * share for share in shares}])
    assert len(bins) == 10
    assert [one.confidence for one in bins] == pytest.approx([one.score for one in bins])
    assert bins[0].confidence == pytest.approx(statistics.fmean(shares[:10]))
    assert calibration_error(bins) == pytest.approx(0)
    assert calibration_error(reliability([labels], [{str(share): 50 * share for share in shares}])) == pytest.approx(
        statistics.fmean(shares) / 2
    )


def test_answers_without_confidence_or_use_have_no_reliability() -> None:
    labels = {"a": Label("a", "t", "t", Outcome.OK), "b": Label("b", "", "", Outcome.UNPARSABLE, -0.1)}
    assert reliability([labels], [{"a": 1.0, "b": 0.0}]) == []
    assert calibration_error([]) == 0


def test_learning_curves_name_final_students(run: Run) -> None:
    curves = {curve.name: curve for curve in learning_curves(run)}
    assert curves["train mckd-3 seed 2"].system == "mckd-3"
    assert curves["train mckd stage 1 A seed 1"].system == ""
    assert curves["train kd seed 2"].losses == tuple(2.0 / (steps + 2) for steps in (10, 20, 30, 40, 50))


def test_timeline_shows_what_ran_in_parallel_without_the_pauses(run: Run) -> None:
    line = timeline(run)
    moments = np.arange(0.5, line.busy)
    running = [sum(span.start <= moment < span.end for span in line.spans) for moment in moments]
    assert min(running) >= 1
    assert line.parallelism == pytest.approx(statistics.fmean(running))
    assert line.worked == pytest.approx(SECONDS * len(run.steps))
    assert {cost.kind: cost.steps for cost in cost_by_kind(line)} == {
        kind: sum(step.kind == kind for step in run.steps) for kind in {step.kind for step in run.steps}
    }


def test_a_second_run_of_more_stages_reuses_steps_and_states_say_so(tmp_path: Path) -> None:
    plan = {"systems": ["teacher", "kd", "mckd"], "seeds": [1]}
    small_run(tmp_path, {"plan": {**plan, "stages": 2}})
    run = Run(small_run(tmp_path, {"plan": {**plan, "stages": 3}}, name="more"))
    states = state_of(run)
    assert {step.name for step in run.steps if states[step.key] == "done"} >= {"train mckd-3 seed 1"}
    assert states[next(step.key for step in run.steps if step.name == "train mckd-2 seed 1")] == "reused"
    assert sum(span.reused for span in timeline(run).spans) == list(states.values()).count("reused")


def test_errors_add_up_over_inputs(run: Run, study: Study) -> None:
    teacher = next(one for one in study.errors if one.system == "teacher")
    labels, gold, examples = run.labels(study.systems["teacher"].tables[0]), run.gold("test"), run.examples("test")
    invented = sum(run.task.errors(gold[name], labels[name].target, examples[name]).kinds["invented"] for name in gold)
    assert teacher.kinds["invented"] == invented > 0
    assert teacher.count == teacher.total == 30


def test_examples_are_sorted_by_gain_and_by_loss(study: Study) -> None:
    gains, losses = study.examples
    first, last = study.compared[0].values[0], study.compared[-1].values[0]
    changes = sorted(last[name] - first[name] for name in first)
    assert [one.gain for one in gains] == [change for change in changes[::-1][:6] if change > 0]
    assert [one.gain for one in losses] == [change for change in changes[:6] if change < 0]


def test_a_sample_is_part_of_the_whole_and_always_the_same() -> None:
    ids = [str(number) for number in range(1000)]
    chosen = sample(ids, 100)
    assert len(set(chosen)) == 100
    assert chosen == sample(ids, 100) == sorted(chosen, key=int)
    assert sample(ids[:100], 100) == ids[:100]
