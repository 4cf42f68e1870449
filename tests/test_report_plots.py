"""Each plot draws the numbers that it was given: its points and bars are read back from the SVG."""

import pytest

from mckd_ray.report.analysis.inputs import ConfidenceBin, GainBin, LengthBin
from mckd_ray.report.analysis.pool import Fit, Quality
from mckd_ray.report.analysis.spending import Span, Timeline
from mckd_ray.report.analysis.systems import StagePoint
from mckd_ray.report.analysis.training import Curve
from mckd_ray.report.page import plots
from mckd_ray.report.page.palette import LIGHT_AND_DARK
from tests.svg_reading import Point, bars, points, spans


def near(wanted: list[Point]) -> object:
    """Equal but for what a pixel is worth."""
    return pytest.approx([value for point in wanted for value in point], abs=0.35)


def flat(found: list[Point]) -> list[float]:
    return [value for point in found for value in point]


def test_score_by_stage_draws_means_seeds_and_levels() -> None:
    methods = {"mckd": [StagePoint("kd", 1, (60.0, 62.0)), StagePoint("mckd-2", 2, (70.0, 71.0))]}
    svg = plots.stage_plot(methods, {"teacher": 50.0}, "F1")
    drawn = {(round(x), round(2 * y) / 2) for x, y in points(svg)}
    assert {(1, 61), (2, 70.5), (1, 60), (1, 62), (2, 70), (2, 71)} <= drawn
    assert ">61.0<" in svg
    assert ">teacher<" in svg


def test_quality_is_a_line_a_partition_from_the_teachers_labels_on() -> None:
    def quality(stage: int, origin: str, part: int, mean: float) -> Quality:
        return Quality(f"{origin} {stage}", stage, origin, part, mean, 10)  # type: ignore[arg-type]

    quality_of = [
        quality(0, "teacher", 0, 50),
        quality(0, "teacher", 1, 52),
        quality(1, "cross", 0, 60),
        quality(1, "cross", 0, 64),
        quality(1, "cross", 1, 61),
        quality(1, "own", 0, 55),
    ]
    found = points(plots.quality_plot(quality_of, "F1"))
    assert flat(found[:6]) == near([(0, 50), (1, 62), (0, 52), (1, 61), (0, 50), (1, 55)])


def test_fit_has_a_bar_for_clean_and_noisy_pseudolabels() -> None:
    fits = [Fit(1, "cross", True, 90, 1, 5), Fit(1, "cross", False, 61.5, 1, 5), Fit(1, "own", False, 80, 1, 5)]
    found = bars(plots.fit_plot(fits))
    assert [height for *_, height in found[:3]] == pytest.approx([90, 61.5, 80], abs=0.3)
    assert found[0][1] <= found[1][0] < found[2][0], "from left to right: cross clean, cross noisy, own noisy"


def test_gain_over_the_teacher() -> None:
    bins = [GainBin(10.0 * place + 3, 50 - 7.3 * place, 2.0, 5) for place in range(6)]
    assert flat(points(plots.gain_plot({"kd": bins}))[:6]) == near([(one.teacher, one.gain) for one in bins])


def test_score_by_length() -> None:
    bins = [LengthBin(1, 5, 90.0, 10), LengthBin(6, 9, 71.5, 12), LengthBin(10, 20, 64.0, 9)]
    svg = plots.length_plot({"kd": bins}, "F1")
    assert [y for _, y in points(svg)[:3]] == pytest.approx([90, 71.5, 64], abs=0.3)
    assert all(text in svg for text in ("1–5", "6–9", "10–20", "(12)"))


def test_reliability() -> None:
    bins = [ConfidenceBin(0.5, 0.3, 5), ConfidenceBin(0.8, 0.75, 5), ConfidenceBin(0.95, 0.9, 5)]
    found = points(plots.reliability_plot({"mckd-3": bins}))
    assert flat(found[:3]) == pytest.approx([0.5, 0.3, 0.8, 0.75, 0.95, 0.9], abs=0.005)


def test_timeline_draws_each_step_where_it_ran() -> None:
    line = Timeline((Span("a", "train", 0, 30, False), Span("b", "label", 20, 45, True)), (), 45)
    svg = plots.timeline_plot(line)
    assert flat(spans(svg)) == pytest.approx([0, 30, 20, 45], abs=0.2)
    assert "opacity: 0.4" in svg, "what was reused is pale"


def test_learning_curves_fall_as_the_losses_do() -> None:
    curves = [Curve("train kd", "kd", (1, 2, 3), (4.0, 2.0, 1.0)), Curve("train base", "", (1, 2, 3), (8.0, 6.0, 5.0))]
    svg = plots.curve_plot(curves)
    line = svg.index("var(--kd)")
    path = svg[svg.rindex('<path d="', 0, line) + 9 : svg.rindex('" clip-path', 0, line)]
    (x0, y0), (x1, y1), (x2, y2) = ([float(value) for value in step.split()[1:]] for step in path.strip().splitlines())
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y1 - y0 == pytest.approx(y2 - y1), "each half of the loss is as far on a logarithmic axis"
    assert y1 > y0


def test_drawings_have_no_colours_of_their_own_and_refer_to_nothing_outside() -> None:
    svg = plots.gain_plot({"kd": [GainBin(10, 5, 1, 3)], "mckd-2": [GainBin(10, 7, 1, 3)]})
    assert not any(light in svg for light, _ in LIGHT_AND_DARK.values())
    assert "http" not in svg
    assert "var(--kd)" in svg
    assert "var(--mckd)" in svg
