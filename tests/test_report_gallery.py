"""Each plot of a report as it is drawn, read back from its SVG, against the same computed from the label tables.

The value of one answer is the task's own, which other tests check; all that is made of it is computed in pandas here.
"""

import math
import re
from collections import Counter

import pandas as pd
import pytest

from mckd_ray.corpora.splits import partition
from mckd_ray.report.analysis.run import Run
from mckd_ray.report.analysis.spending import state_of
from mckd_ray.report.analysis.study import Study
from mckd_ray.report.page.gallery import Plot, gallery
from mckd_ray.report.page.graph import plan_mermaid, plan_svg
from mckd_ray.report.page.plots import timeline_plot
from mckd_ray.tasks.trees import constituents, read_tree
from tests.small_run import small_run
from tests.svg_reading import Point, bars, points, spans

STUDENTS = ("sft", "kd", "mckd-3")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(small_run(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def study(run: Run) -> Study:
    return Study(run)


@pytest.fixture(scope="module")
def plots(study: Study) -> dict[str, Plot]:
    return {plot.title: plot for plot in gallery(study)}


@pytest.fixture(scope="module")
def answers(run: Run) -> pd.DataFrame:
    """A row for each answer of each seed on test."""
    steps = {(one.system, one.seed): run.by_key[run.by_key[one.key].inputs["labels"]] for one in run.scored}
    return pd.concat(
        answered(run, step.key, "test").assign(system=system, seed=seed) for (system, seed), step in steps.items()
    )


def answered(run: Run, key: str, split: str) -> pd.DataFrame:
    examples, gold, labels = run.examples(split), run.gold(split), run.labels(key)
    rows = [
        {
            "id": name,
            "value": run.task.example_value(run.task.counts(gold[name], labels[name].target, example)),
            "length": len(example.tokens),
            "confidence": math.exp(labels[name].confidence),
        }
        for name, example in examples.items()
        if name in labels
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def pool(run: Run) -> pd.DataFrame:
    """A row for each label of the pool: of which stage, written by students that had seen the input (own) or not."""
    keys = {("teacher", 0, 0): next(step.key for step in run.steps if step.kind == "label")}
    for step in run.steps:
        if step.kind == "merge":
            _, stage, method, _, seed = step.name.split()
            keys["own" if method == "self" else "cross", int(stage), int(seed)] = step.key
    frames = [
        answered(run, key, "pool").assign(origin=origin, stage=stage, seed=seed, key=key)
        for (origin, stage, seed), key in keys.items()
    ]
    frame = pd.concat(frames)
    return frame.assign(part=[partition(name, 2) for name in frame["id"]])


def close(found: list[Point], wanted: list[Point], tolerance: float = 0.35) -> None:
    """Equal but for what a pixel is worth."""
    flat = [[value for point in some for value in point] for some in (found, wanted)]
    assert flat[0] == pytest.approx(flat[1], abs=tolerance)


def test_score_by_stage(plots: dict[str, Plot], answers: pd.DataFrame) -> None:
    by_seed = answers.groupby(["system", "seed"])["value"].mean()
    drawn = points(str(plots["Score by stage"].svg))
    for system, stage in (("kd", 1), ("mckd-2", 2), ("mckd-3", 3), ("self-2", 2), ("self-3", 3)):
        for score in (by_seed[system].mean(), *by_seed[system]):
            assert min(math.dist((stage, score), point) for point in drawn) < 0.15


def test_quality_of_the_pools_labels(plots: dict[str, Plot], pool: pd.DataFrame) -> None:
    means = (
        pool.groupby(["origin", "stage", "seed", "part"])["value"].mean().groupby(["origin", "stage", "part"]).mean()
    )
    wanted = [
        (float(stage), means["teacher" if stage == 0 else origin, stage, part])
        for origin in ("cross", "own")
        for part in (0, 1)
        for stage in (0, 1, 2)
    ]
    drawn = points(str(plots["Quality of the pool's labels"].svg))
    close(drawn[: len(wanted)], wanted)


def test_where_students_correct_the_teacher(plots: dict[str, Plot], answers: pd.DataFrame) -> None:
    means = answers.groupby(["system", "id"])["value"].mean().unstack("system")
    ordered = means.reset_index().sort_values(["teacher", "id"]).reset_index(drop=True)
    tenths = ordered.groupby(ordered.index // 3)
    wanted = [
        (float(tenth["teacher"].mean()), float((tenth[student] - tenth["teacher"]).mean()))
        for student in STUDENTS
        for _, tenth in tenths
    ]
    close(points(str(plots["Where students correct the teacher"].svg))[: len(wanted)], wanted)


def test_clean_and_noisy_pseudolabels(run: Run, plots: dict[str, Plot], pool: pd.DataFrame) -> None:
    examples, heights = run.examples("pool"), {}
    for origin in ("cross", "own"):
        for stage in (1, 2):
            rows = []
            for seed in (1, 2):
                before = pool[(pool["stage"] == stage - 1) & pool["origin"].isin([origin, "teacher"])]
                before = before[before["seed"].isin([seed, 0])].set_index("id")
                after = pool[(pool["stage"] == stage) & (pool["origin"] == origin) & (pool["seed"] == seed)]
                taught, wrote = run.labels(before["key"].iloc[0]), run.labels(after["key"].iloc[0])
                for name, score in before["value"].items():
                    counts = run.task.counts(taught[name].target, wrote[name].target, examples[name])
                    rows.append({"clean": score == 100, "agreement": run.task.example_value(counts)})
            for clean, mean in pd.DataFrame(rows).groupby("clean")["agreement"].mean().items():
                heights[stage, origin, clean] = mean
    wanted = [
        heights[stage, origin, clean] for clean in (True, False) for stage in (1, 2) for origin in ("cross", "own")
    ]
    drawn = [height for *_, height in bars(str(plots["Clean and noisy pseudolabels"].svg))]
    assert drawn[: len(wanted)] == pytest.approx(wanted, abs=0.5)


def test_score_by_length(plots: dict[str, Plot], answers: pd.DataFrame) -> None:
    lengths = answers[answers["system"] == "teacher"].sort_values("length")["length"]
    edges = sorted({lengths.iloc[math.ceil(len(lengths) * share / 5) - 1] for share in range(1, 6)})
    groups = pd.cut(answers["length"], [0, *edges], labels=False)
    means = answers.assign(group=groups).groupby(["system", "group"])["value"].mean()
    plot = plots["Score by length"]
    drawn = [y for _, y in points(str(plot.svg))]
    wanted = [means[system, group] for system in ("teacher", *STUDENTS) for group in range(len(edges))]
    assert drawn[: len(wanted)] == pytest.approx(wanted, abs=0.2)
    assert [row[1].split("–")[1] for row in plot.rows[: len(edges)]] == [str(edge) for edge in edges]


def test_reliability(plots: dict[str, Plot], answers: pd.DataFrame) -> None:
    wanted: list[Point] = []
    said = []
    for system in ("teacher", *STUDENTS):
        mine = answers[answers["system"] == system].sort_values(["confidence", "value"]).reset_index(drop=True)
        tenths = mine.groupby(mine.index * 10 // len(mine))
        means = tenths[["confidence", "value"]].mean()
        wanted += list(zip(means["confidence"], means["value"] / 100, strict=True))
        said.append(
            f"{system} {((means['confidence'] - means['value'] / 100).abs() * tenths.size()).sum() / len(mine):.2f}"
        )
    close(points(str(plots["Confidence"].svg))[: len(wanted)], wanted, 0.003)
    assert ", ".join(said) in plots["Confidence"].caption


def test_learning_curves(run: Run, plots: dict[str, Plot]) -> None:
    """On a logarithmic axis pixels are linear in the logarithm of the loss."""
    lines = re.findall(
        r'<path d="(M[^"z]+)" clip-path[^>]*stroke-width: (?:1\.8|0\.9)', str(plots["Learning curves"].svg)
    )
    losses = [run.records[step.key].facts["losses"] for step in run.steps if step.kind == "train"]
    assert len(lines) == len(losses)
    pixels = sorted(float(line.split()[2]) for line in lines)
    first = sorted((-math.log(curve[0][1]) for curve in losses), reverse=False)
    assert pd.Series(pixels).corr(pd.Series(first)) == pytest.approx(1, abs=1e-6)
    heights = [[float(step.split()[2]) for step in line.strip().splitlines()] for line in lines]
    logs = [-math.log(loss) for _, loss in losses[0]]
    best = max(pd.Series(one).corr(pd.Series(logs)) for one in heights)
    assert best == pytest.approx(1, abs=1e-6)


def test_the_timeline(run: Run, study: Study) -> None:
    began = min(record.started for record in run.records.values())
    wanted = sorted((record.started - began, record.ended - began) for record in run.records.values())
    close(sorted((round(a), round(b)) for a, b in spans(str(timeline_plot(study.timeline)))), wanted, 0.6)


def test_the_plan_has_a_box_a_step_and_a_line_an_input(run: Run) -> None:
    one_seed = Run(small_run(run.store.root.base.parent / "one", {"plan": {"seeds": [1]}}))
    svg, mermaid = str(plan_svg(one_seed, state_of(one_seed))), plan_mermaid(one_seed)
    drawn = [step for step in one_seed.steps if step.kind not in ("corpus", "gold")]
    lines = sum(one_seed.by_key[key].kind not in ("corpus", "gold") for step in drawn for key in step.inputs.values())
    assert (svg.count("<rect"), mermaid.count('["')) == (len(drawn), len(drawn))
    assert (svg.count('class="edge'), mermaid.count("-->")) == (lines, lines)
    assert all(step.key in svg for step in drawn)


def test_confusion_adds_up_to_the_constituents_of_gold_and_of_the_answers(run: Run, study: Study) -> None:
    gold = run.gold("test")
    for errors in study.errors:
        table = run.labels(study.systems[errors.system].tables[0])
        pairs = errors.confusion["labels"]
        rows, columns = Counter[str](), Counter[str]()
        for (ours, theirs), count in pairs.items():
            rows[ours] += count
            columns[theirs] += count
        wanted = Counter(label for target in gold.values() for label, *_ in constituents(read_tree(target)))
        found = Counter(label for name in gold for label, *_ in constituents(read_tree(table[name].target)))
        del rows["–"], columns["–"]
        assert (rows, columns) == (wanted, found)
