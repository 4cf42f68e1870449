"""The plots of the report: each takes numbers that `analysis` computed and gives inline SVG in the page's colours."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mckd_ray.report.analysis.inputs import ConfidenceBin, GainBin, LengthBin
from mckd_ray.report.analysis.pool import Fit, Quality
from mckd_ray.report.analysis.spending import Timeline
from mckd_ray.report.analysis.systems import StagePoint
from mckd_ray.report.analysis.training import Curve
from mckd_ray.report.page.palette import KIND_COLOURS, colour, themed

WIDE, NORMAL = (11.4, 3.4), (5.4, 3.4)
"""Width and height in inches."""
_LEGEND_INCHES = 0.12
"""The width of a letter of a legend, with its share of the line before and the gap behind."""
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "text.color": colour("ink"),
    "axes.labelcolor": colour("muted"),
    "axes.edgecolor": colour("line"),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": colour("line"),
    "xtick.color": colour("muted"),
    "ytick.color": colour("muted"),
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_ORIGIN_STYLES = {"teacher": "o-", "cross": "o-", "own": "s--", "mixed": "D:"}


@rc_context(_STYLE)
def stage_plot(methods: Mapping[str, Sequence[StagePoint]], levels: Mapping[str, float], metric: str) -> Markup:
    """Score by number of stages: a line a method through the means, a dot a seed, bars of one standard deviation.

    `levels` are systems without stages, which are dashed lines.
    """
    figure, axes = _axes(NORMAL, "stages", f"{metric}, %")
    for method, points in methods.items():
        numbers = [point.stages for point in points]
        means = [sum(point.scores) / len(point.scores) for point in points]
        spreads = [_deviation(point.scores) for point in points]
        axes.errorbar(numbers, means, yerr=spreads, fmt="-", marker="o", capsize=3, color=colour(method), label=method)
        for point in points:
            axes.plot([point.stages] * len(point.scores), point.scores, ".", color=colour(method), alpha=0.5)
        for number, mean in zip(numbers, means, strict=True):
            _name(axes, number, mean, above=mean >= max(_means_at(methods, number)))
    for name, level in levels.items():
        axes.axhline(level, ls=(0, (5, 3)), lw=1.2, color=colour(name), label=name)
    axes.set_xticks(sorted({point.stages for points in methods.values() for point in points}))
    axes.margins(x=0.12, y=0.18)
    return _svg(figure, axes)


def _means_at(methods: Mapping[str, Sequence[StagePoint]], stages: int) -> list[float]:
    return [sum(p.scores) / len(p.scores) for points in methods.values() for p in points if p.stages == stages]


def _name(axes: Axes, x: float, y: float, above: bool) -> None:
    """The value of a point beside it: below it where another one is above."""
    place: Any = {"xytext": (0, 8), "va": "bottom"} if above else {"xytext": (0, -8), "va": "top"}
    axes.annotate(f"{y:.1f}", (x, y), textcoords="offset points", ha="center", **place)


@rc_context(_STYLE)
def quality_plot(quality: Sequence[Quality], metric: str) -> Markup:
    """Quality of the pool's labels by stage: a line a partition and origin, of several seeds their mean."""
    figure, axes = _axes(NORMAL, "stage that wrote the labels (0: the teacher)", f"{metric}, %")
    partitions = sorted({one.partition for one in quality})
    shades = dict(zip(partitions, ("mckd", "kd", "sft", "self", "born-again", "base") * len(partitions), strict=False))
    for origin in ("cross", "own", "mixed"):
        for part in partitions:
            line = quality_line(quality, part, origin)
            if len(line) > 1:
                label = f"partition {chr(ord('A') + part)}, {origin}"
                axes.plot(*zip(*line, strict=True), _ORIGIN_STYLES[origin], color=colour(shades[part]), label=label)
    axes.set_xticks(sorted({one.stage for one in quality}))
    axes.margins(x=0.08, y=0.15)
    return _svg(figure, axes)


def quality_line(quality: Sequence[Quality], part: int, origin: str) -> list[tuple[int, float]]:
    """Stage and mean quality on one partition, from the teacher's labels through those of one origin."""
    groups: dict[int, list[Quality]] = {}
    for one in quality:
        if one.partition == part and one.origin in ("teacher", origin):
            groups.setdefault(one.stage, []).append(one)
    return [(stage, sum(one.mean for one in some) / len(some)) for stage, some in sorted(groups.items())]


@rc_context(_STYLE)
def fit_plot(fits: Sequence[Fit]) -> Markup:
    """How well each stage's labels agree with clean and with noisy pseudolabels, for inputs not seen and seen."""
    figure, axes = _axes(NORMAL, "stage; cross: inputs not seen, own: seen", "agreement with the pseudolabel, %")
    groups = sorted({(one.stage, one.origin) for one in fits})
    for clean, name, shade in ((True, "clean pseudolabels", "good"), (False, "noisy pseudolabels", "bad")):
        some = [one for one in fits if one.clean is clean]
        places = [groups.index((one.stage, one.origin)) + (-0.19 if clean else 0.19) for one in some]
        heights = [one.agreement for one in some]
        axes.bar(
            places,
            heights,
            0.36,
            yerr=[one.error for one in some],
            ecolor=colour("muted"),
            capsize=2,
            color=colour(shade),
            alpha=0.85,
            label=name,
        )
        for place, height in zip(places, heights, strict=True):
            axes.annotate(f"{height:.0f}", (place, height / 2), ha="center", color=colour("paper"))
    axes.set_xticks(range(len(groups)), [f"{stage}\n{origin}" for stage, origin in groups])
    axes.set_ylim(0, 100)
    return _svg(figure, axes)


@rc_context(_STYLE)
def gain_plot(students: Mapping[str, Sequence[GainBin]]) -> Markup:
    """Each student's gain over the teacher by tenths of the inputs, from those where the teacher is worst."""
    figure, axes = _axes(
        NORMAL, "the teacher's own score on the input, % (mean of each tenth)", "gain over the teacher"
    )
    axes.axhline(0, color=colour("muted"), lw=1)
    for name, bins in students.items():
        xs, ys, errors = ([getattr(one, what) for one in bins] for what in ("teacher", "gain", "error"))
        axes.errorbar(xs, ys, yerr=errors, fmt="o-", ms=4, lw=1.5, elinewidth=0.8, color=colour(name), label=name)
    return _svg(figure, axes)


@rc_context(_STYLE)
def length_plot(systems: Mapping[str, Sequence[LengthBin]], metric: str) -> Markup:
    """The mean score of inputs of like length, a line a system."""
    figure, axes = _axes(NORMAL, "length of the input, tokens", f"{metric}, mean over inputs, %")
    bins: Sequence[LengthBin] = ()
    for name, bins in systems.items():
        axes.plot([one.mean for one in bins], "o-", ms=4, color=colour(name), label=name)
    names = [f"{one.shortest}–{one.longest}\n({one.count})" for one in bins]
    axes.set_xticks(range(len(names)), names)
    return _svg(figure, axes)


@rc_context(_STYLE)
def reliability_plot(systems: Mapping[str, Sequence[ConfidenceBin]]) -> Markup:
    """Mean score against mean confidence; on the diagonal, an answer is as good as the model expects."""
    figure, axes = _axes(NORMAL, "confidence (mean probability of a token)", "score, 0 to 1")
    axes.plot([0, 1], [0, 1], ls=(0, (5, 3)), lw=1.2, color=colour("muted"))
    for name, bins in systems.items():
        axes.plot(
            [one.confidence for one in bins], [one.score for one in bins], "o-", ms=4, color=colour(name), label=name
        )
    points = [(one.confidence, one.score) for bins in systems.values() for one in bins]
    axes.set_xlim(min(x for x, _ in points) - 0.02, 1.01)
    axes.set_ylim(min(min(point) for point in points) - 0.02, 1.01)
    return _svg(figure, axes)


@rc_context(_STYLE)
def curve_plot(curves: Sequence[Curve]) -> Markup:
    """Training loss by optimiser step: final students in their system's colour, all others thin and grey."""
    figure, axes = _axes(WIDE, "optimiser steps", "training loss")
    named: set[str] = set()
    for curve in sorted(curves, key=lambda one: bool(one.system)):
        label = curve.system or "intermediate, base, teacher"
        axes.plot(
            curve.steps,
            curve.losses,
            lw=1.8 if curve.system else 0.9,
            color=colour(curve.system),
            label=None if label in named else label,
        )
        named.add(label)
    axes.set_yscale("log")
    return _svg(figure, axes)


@rc_context(_STYLE)
def timeline_plot(line: Timeline) -> Markup:
    """A bar a step, from top to bottom as they started; pale: reused. Vertical lines: idle time was cut out."""
    rows = len(line.spans)
    figure, axes = _axes((WIDE[0], 0.8 + 0.19 * rows), "seconds in which something ran", "")
    axes.grid(visible=False)
    axes.grid(axis="x")
    for row, span in enumerate(line.spans):
        shade = colour(KIND_COLOURS[span.kind])
        width = max(span.end - span.start, line.busy / 1000)
        axes.barh(row, width, 0.72, span.start, color=shade, alpha=0.4 if span.reused else 0.95)
        left = span.start + width / 2 < line.busy * 0.7
        axes.annotate(
            f"{span.name}, {span.end - span.start:.0f} s",
            (span.start + width if left else span.start, row),
            (4 if left else -4, 0),
            textcoords="offset points",
            ha="left" if left else "right",
            va="center",
            fontsize=8,
        )
    for cut in line.cuts:
        axes.axvline(cut, ls=":", color=colour("muted"))
    axes.set_yticks([])
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlim(0, line.busy or 1)
    return _svg(figure, axes)


def _axes(size: tuple[float, float], x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes


def _svg(figure: Figure, axes: Axes) -> Markup:
    """The drawing alone: no declarations, no ids but those that are referred to, colours as variables."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        room = figure.get_figwidth() / _LEGEND_INCHES
        ncols = max(1, min(4, int(room / max(map(len, labels)))))
        figure.legend(handles, labels, loc="outside upper center", ncols=ncols)
    target = io.StringIO()
    figure.savefig(target, format="svg", transparent=True, metadata=_METADATA)
    svg = target.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg)
    return Markup(themed(svg))  # noqa: S704 - matplotlib escapes what it draws


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return float((sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5)
