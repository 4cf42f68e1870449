"""Plots of a sweep: score by stages and another setting, score after each stage, score against cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mckd_ray.sweep.space import STAGES

mpl.use("agg")
CURVES = 10
"""At most so many settings have a curve of their own, those with the best final scores."""
SHOTS = "teacher.shots"
Row = Mapping[str, Any]


def draw_plots(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the plots that the result of a sweep has the data for, as PNG; returns their paths."""
    rows, settings = result["trials"], result["settings"]
    figures = {
        "heat-map": _heat_map(rows, settings, result["objective"]),
        "stages": _by_stage(rows, settings, result["objective"]),
        "cost": _against_cost(rows, settings, result["objective"]),
    }
    paths = []
    for name, figure in figures.items():
        if figure is not None:
            paths.append(folder / f"{name}.png")
            figure.savefig(paths[-1], dpi=150, bbox_inches="tight")
    return paths


def _heat_map(rows: Sequence[Row], settings: Sequence[str], objective: str) -> Figure | None:
    """The best score for each number of stages and value of the shots, or of the first other setting."""
    others = [name for name in settings if name != STAGES]
    if STAGES not in settings or not others:
        return None
    other = SHOTS if SHOTS in others else others[0]
    best: dict[tuple[Any, Any], float] = {}
    for row in _finished(rows):
        cell = (row[other], row[STAGES])
        best[cell] = max(best.get(cell, row["score"]), row["score"])
    if not best:
        return None
    lines, columns = (_ordered({cell[place] for cell in best}) for place in (0, 1))
    figure = Figure(figsize=(1.5 + len(columns), 1.5 + 0.6 * len(lines)))
    axes = figure.add_subplot()
    values = [[best.get((line, column), float("nan")) for column in columns] for line in lines]
    figure.colorbar(axes.imshow(values, aspect="auto"), label=f"{objective} on dev, %")
    axes.set(xlabel=STAGES, ylabel=other)
    axes.set_xticks(range(len(columns)), [str(column) for column in columns])
    axes.set_yticks(range(len(lines)), [str(line) for line in lines])
    for (line, column), score in best.items():
        place = columns.index(column), lines.index(line)
        axes.text(*place, f"{score:.1f}", ha="center", va="center", bbox={"facecolor": "white", "alpha": 0.7, "lw": 0})
    return figure


def _ordered(values: set[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)


def _by_stage(rows: Sequence[Row], settings: Sequence[str], objective: str) -> Figure | None:
    """Score after each stage, with its spread over the seeds, of the longest trial of each other setting."""
    longest: dict[str, Row] = {}
    for row in rows:
        name = _name(row, [setting for setting in settings if setting != STAGES])
        if row["by_stage"] and len(row["by_stage"]) > len(longest.get(name, {"by_stage": ()})["by_stage"]):
            longest[name] = row
    if not longest:
        return None
    figure = Figure(figsize=(7, 4.5))
    axes = figure.add_subplot()
    for name, row in sorted(longest.items(), key=lambda item: -item[1]["score"])[:CURVES]:
        spread = [value or 0.0 for value in row["spread_by_stage"]]
        stages = range(1, len(spread) + 1)
        axes.errorbar(stages, row["by_stage"], yerr=spread, marker="o", capsize=3, label=name or "all")
    axes.set(xlabel="stages", ylabel=f"{objective} on dev, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize="small")
    return figure


def _against_cost(rows: Sequence[Row], settings: Sequence[str], objective: str) -> Figure | None:
    """Score against the seconds that each trial would take alone, and the Pareto front."""
    finished = _finished(rows)
    if not finished:
        return None
    figure = Figure(figsize=(7, 4.5))
    axes = figure.add_subplot()
    axes.scatter([row["seconds"] for row in finished], [row["score"] for row in finished], color="tab:gray")
    front = sorted((row for row in finished if row["pareto"]), key=lambda row: float(row["seconds"]))
    axes.plot(
        [row["seconds"] for row in front], [row["score"] for row in front], "o-", color="tab:red", label="Pareto front"
    )
    for row in front:
        place = (row["seconds"], row["score"])
        axes.annotate(_name(row, settings), place, fontsize=7, xytext=(4, -9), textcoords="offset points")
    axes.set(xlabel="seconds of all steps, run alone", ylabel=f"{objective} on dev, %")
    axes.legend(fontsize="small")
    return figure


def _finished(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["state"] == "finished"]


def _name(row: Row, settings: Sequence[str]) -> str:
    return ", ".join(f"{setting.rpartition('.')[2]} {row[setting]}" for setting in settings)
