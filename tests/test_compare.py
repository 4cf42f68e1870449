"""Two runs side by side: the sign, size and p-value of a known difference."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from mckd_ray.cli import main
from mckd_ray.errors import DataError
from mckd_ray.plan.steps import Step
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.report.analysis.run import Run
from mckd_ray.report.compare import compare
from tests.small_run import small_run

PLAN = {"plan": {"stages": 1, "systems": ["teacher", "kd"], "seeds": [1, 2]}}


def right_share(share: float) -> object:
    """A labeller that is right for this share of the inputs, and says the least elsewhere."""

    def answer(step: Step, example: Example, gold: Mapping[str, str], rate: float) -> Label:
        known = sorted(gold).index(example.id) < share * len(gold)
        flat = "(S " + " ".join(f"(X {token})" for token in example.tokens) + ")"
        target = gold[example.id] if known else flat
        return Label(example.id, target, target, Outcome.OK)

    return answer


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    first = small_run(tmp_path_factory.mktemp("first"), PLAN, right_share(0.4))  # type: ignore[arg-type]
    second = small_run(tmp_path_factory.mktemp("second"), PLAN, right_share(0.6), name="better")  # type: ignore[arg-type]
    return first, second


def test_the_better_run_is_better(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--json", *map(str, runs)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [line["system"] for line in found["systems"]] == ["teacher", "kd"]
    for line in found["systems"]:
        assert line["difference"] == pytest.approx(line["second"] - line["first"])
        assert 0 < line["low"] < line["difference"] < line["high"]
        assert line["inputs"] == line["inputs_shared"] == 30


def test_the_p_value_is_that_of_scipys_permutation_test(runs: tuple[Path, Path]) -> None:
    first, second = map(Run, runs)
    found = next(line for line in compare(first, second)["systems"] if line["system"] == "kd")
    values = [[run.evaluation(one.key) for one in run.scored if one.system == "kd"] for run in (first, second)]
    before, after = (
        {name: np.mean([one["values"][name] for one in some if one]) for name in some[0]["values"]}  # type: ignore[index]
        for some in values
    )
    differences = [after[name] - before[name] for name in before]
    known = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=50_000, rng=1)
    assert found["p_value"] == pytest.approx(known.pvalue, abs=0.01)
    assert 0 < found["p_value"] < 0.1


def test_the_other_way_round_it_is_worse(runs: tuple[Path, Path]) -> None:
    there, back = compare(*map(Run, runs)), compare(*map(Run, reversed(runs)))
    for ours, theirs in zip(there["systems"], back["systems"], strict=True):
        assert ours["difference"] == pytest.approx(-theirs["difference"])


def test_the_table_names_what_only_one_has(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = small_run(tmp_path, {"plan": {"stages": 1, "systems": ["teacher", "sft"], "seeds": [1]}}, name="other")
    assert main(["compare", str(runs[0]), str(other)]) == 0
    said = capsys.readouterr().out
    assert "Only in small: kd." in said
    assert "Only in other: sft." in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": {"kind": "semantic"}, **PLAN}, "compare runs of one task"),
        ({"corpus": {"seed": 7}, **PLAN}, "compare runs on the same inputs"),
        ({"plan": {"stages": 1, "systems": ["sft"], "seeds": [1]}}, "compare runs that share a system"),
        ({"plan": {**PLAN["plan"], "evaluate": ["dev"]}}, "share a split"),
    ],
)
def test_runs_that_cannot_be_paired(
    runs: tuple[Path, Path], tmp_path: Path, changes: Mapping[str, Mapping[str, object]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        compare(Run(runs[0]), Run(small_run(tmp_path, changes)))
