"""The report's plots: each with what it shows, and its numbers as a table; or the reason why it is left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mckd_ray.report.analysis.inputs import calibration_error
from mckd_ray.report.analysis.study import Study
from mckd_ray.report.page import plots
from mckd_ray.report.wording import metric_name


@dataclass(frozen=True)
class Plot:
    """A drawing and its numbers. Without a drawing, `caption` says why."""

    title: str
    caption: str
    svg: Markup | None = None
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def gallery(study: Study) -> list[Plot]:
    """All plots, in the order of the report."""
    return [draw(study) for draw in _PLOTS] if study.systems else []


def _stages(study: Study) -> Plot:
    title = "Score by stage"
    if not study.stages:
        return Plot(title, "Neither KD nor a system with stages has a score yet.")
    levels: dict[str, float] = {
        name: study.systems[name].mean(study.metric) for name in ("teacher", "base", "sft") if name in study.systems
    }
    seeds = max(len(point.scores) for points in study.stages.values() for point in points)
    spread = f"Bars: one standard deviation over {seeds} seeds, each a dot." if seeds > 1 else "One seed: no spread."
    rows = [
        [method, str(point.stages), f"{value:.1f}"]
        for method, points in study.stages.items()
        for point in points
        for value in point.scores
    ]
    return Plot(
        title,
        f"On {study.split}. One stage is vanilla KD. {spread}",
        plots.stage_plot(study.stages, levels, metric_name(study.metric)),
        ("method", "stages", "score"),
        rows,
    )


def _quality(study: Study) -> Plot:
    title = "Quality of the pool's labels"
    if not study.pool.quality:
        return Plot(title, "The pool has no gold, so the quality of its labels cannot be measured.")
    if len({one.stage for one in study.pool.quality}) < 2:
        return Plot(title, "Only the teacher has labelled the pool, so there are no stages to compare.")
    own = any(one.origin == "own" for one in study.pool.quality)
    more = (
        "" if own else " No students relabelled what they were trained on; add self to plan.systems to see that, too."
    )
    rows = [
        [one.table, str(one.stage), one.origin, str(one.partition + 1), f"{one.mean:.1f}", str(one.count)]
        for one in study.pool.quality
    ]
    return Plot(
        title,
        "Against the pool's gold, which nothing else reads. Cross: written by students that were not trained on that "
        f"partition; own: by those that were.{more}",
        plots.quality_plot(study.pool.quality, metric_name(study.metric)),
        ("labels", "stage", "origin", "partition", "score", "inputs"),
        rows,
    )


def _fit(study: Study) -> Plot:
    title = "Clean and noisy pseudolabels"
    if not study.pool.fit:
        return Plot(title, "This needs gold of the pool, and a stage that relabelled it.")
    rows = [
        [str(one.stage), one.origin, "clean" if one.clean else "noisy", f"{one.agreement:.1f}", str(one.count)]
        for one in study.pool.fit
    ]
    total = max(len(table.values) for table in study.pool.tables)
    some = f" A sample of {study.pool.fitted:,} of {total:,} inputs." if study.pool.fitted < total else ""
    return Plot(
        title,
        "How far a stage's labels say the same as the labels that its students were trained on: clean ones have a "
        "score of 100 against gold, noisy ones less. A student that learns the pattern and not the noise agrees with "
        f"clean pseudolabels and departs from noisy ones.{some}",
        plots.fit_plot(study.pool.fit),
        ("stage", "origin", "pseudolabels", "agreement", "inputs"),
        rows,
    )


def _by_teacher(study: Study) -> Plot:
    title = "Where students correct the teacher"
    if not study.by_teacher:
        return Plot(title, "This needs the scores of the teacher and of a student.")
    rows = [
        [name, f"{one.teacher:.1f}", f"{one.gain:+.1f}", f"± {one.error:.1f}", str(one.count)]
        for name, bins in study.by_teacher.items()
        for one in bins
    ]
    return Plot(
        title,
        "Gain over the teacher, by tenths of the inputs from those where the teacher is worst; bars: 95% intervals. "
        "Where the teacher did badly by chance anyone does better: compare the lines with one another, not with 0.",
        plots.gain_plot(study.by_teacher),
        ("system", "teacher", "gain", "95%", "inputs"),
        rows,
    )


def _by_length(study: Study) -> Plot:
    rows = [
        [name, f"{one.shortest}–{one.longest}", f"{one.mean:.1f}", str(one.count)]
        for name, bins in study.by_length.items()
        for one in bins
    ]
    return Plot(
        "Score by length",
        "The mean over inputs of like length; in brackets: how many.",
        plots.length_plot(study.by_length, metric_name(study.run.task.per_example)),
        ("system", "tokens", "score", "inputs"),
        rows,
    )


def _confidence(study: Study) -> Plot:
    title = "Confidence"
    if not study.confidence:
        return Plot(title, "No answer came with a confidence.")
    errors = ", ".join(f"{name} {calibration_error(bins):.2f}" for name, bins in study.confidence.items())
    rows = [
        [name, f"{one.confidence:.3f}", f"{one.score:.3f}", str(one.count)]
        for name, bins in study.confidence.items()
        for one in bins
    ]
    return Plot(
        title,
        "Reliability: mean score of answers by tenths of confidence; on the dashed line an answer is as good as the "
        f"model expects. Mean distance from it (expected calibration error): {errors}.",
        plots.reliability_plot(study.confidence),
        ("system", "confidence", "score", "answers"),
        rows,
    )


def _curves(study: Study) -> Plot:
    title = "Learning curves"
    if not study.curves:
        return Plot(title, "The training steps of this run kept no losses; those that are trained from now on do.")
    rows = [
        [
            curve.name,
            str(curve.steps[-1]),
            f"{curve.losses[0]:.3f}",
            f"{min(curve.losses):.3f}",
            f"{curve.losses[-1]:.3f}",
        ]
        for curve in study.curves
    ]
    return Plot(
        title,
        "Training loss, on a logarithmic axis; final students in colour.",
        plots.curve_plot(study.curves),
        ("training", "steps", "first loss", "lowest", "last"),
        rows,
    )


_PLOTS: tuple[Callable[[Study], Plot], ...] = (
    _stages,
    _quality,
    _by_teacher,
    _fit,
    _by_length,
    _confidence,
    _curves,
)
