"""What the templates print, for one run: sentences, rows and drawings, ready but for escaping."""

from collections.abc import Mapping, Sequence
from typing import Any

from mckd_ray.report.analysis.errors import ErrorCounts, most_confused
from mckd_ray.report.analysis.examples import SideBySide
from mckd_ray.report.analysis.run import Run
from mckd_ray.report.analysis.spending import Timeline, cost_by_kind, longest, state_of, teacher_cost
from mckd_ray.report.analysis.study import Study
from mckd_ray.report.analysis.systems import Gain, System
from mckd_ray.report.page import plots
from mckd_ray.report.page.gallery import gallery
from mckd_ray.report.page.graph import drawn_steps, plan_mermaid, plan_svg
from mckd_ray.report.page.marks import marked
from mckd_ray.report.page.notes import answer, notes
from mckd_ray.report.page.trees import MOST_WORDS, tree_svg
from mckd_ray.report.wording import duration, metric_name, p_value

MACHINE = {"processor": "{}", "cores": "{} cores", "memory_gib": "{} GiB", "system": "{}"}
"""What is said of the machine, before its GPUs."""
MOST_BARS = 60
"""The timeline shows so many steps, the longest."""


def content(run: Run) -> dict[str, Any]:
    """The parts of the report of one run by name."""
    study = Study(run)
    states = state_of(run)
    return {
        "name": run.name,
        "task": run.task.name,
        "metric": metric_name(study.metric),
        "split": study.split,
        "answer": answer(study),
        "notes": notes(study),
        "table": [_row(study, system) for system in study.systems.values()],
        "metrics": _metrics(study),
        "plots": gallery(study),
        "examples": _examples(study),
        "compared": [system.name for system in study.compared],
        "errors": _errors(study.errors),
        "confusion": _confusion(study.errors),
        "time": _time(study),
        "plan": plan_svg(run, states),
        "mermaid": plan_mermaid(run),
        "plan_left_out": len(run.steps) - len(drawn_steps(run)),
        "config": run.config_text,
        "versions": (run.result or {}).get("versions", {}),
        "machine": _machine((run.result or {}).get("machine", {})),
        "hosts": sorted({record.host for record in run.records.values()}),
        "seeds": run.config["plan"]["seeds"],
        "steps": [(step.name, step.key, states[step.key], _seconds(run, step.key)) for step in run.steps],
    }


def _row(study: Study, system: System) -> dict[str, Any]:
    """A line of the paper's table."""
    return {
        "name": system.name,
        "score": _score(system, study.metric),
        "seeds": len(system.seeds),
        "coverage": f"{system.coverage:.1%}",
        "gains": [_gain(study.gains.get((system.name, other))) for other in ("teacher", "kd")],
        "time": duration(system.seconds),
        "best": study.best is system,
    }


def _score(system: System, metric: str) -> str:
    spread = f" ± {system.spread(metric):.1f}" if len(system.seeds) > 1 else ""
    return f"{system.mean(metric):.1f}{spread}"


def _gain(gain: Gain | None) -> dict[str, str] | None:
    if gain is None:
        return None
    test = gain.test
    return {
        "difference": f"{test.difference:+.1f}",
        "interval": f"{test.low:+.1f} to {test.high:+.1f}",
        "p": p_value(test.p_value),
        "sure": "" if test.p_value >= 0.05 else ("up" if test.difference > 0 else "down"),
    }


def _metrics(study: Study) -> dict[str, Any]:
    """All metrics of all systems."""
    names = study.run.task.metrics
    rows = [[system.name, *(_score(system, name) for name in names)] for system in study.systems.values()]
    return {"columns": [metric_name(name) for name in names], "rows": rows}


def _examples(study: Study) -> list[dict[str, Any]]:
    gains, losses = study.examples
    return [
        {"title": "Largest gains", "rows": [_example(study, one) for one in gains]},
        {"title": "Largest losses", "rows": [_example(study, one) for one in losses]},
    ]


def _example(study: Study, one: SideBySide) -> dict[str, Any]:
    task, last = study.run.task.name, one.answers[-1]
    lines = [{"who": "gold", "value": None, **_drawn(task, one.gold, last.target, one)}]
    for shown in one.answers:
        drawn = _drawn(task, shown.target, one.gold, one) if shown.target is not None else {}
        lines.append({"who": shown.system, "value": f"{shown.value:.0f}", "reason": shown.reason, **drawn})
    return {"id": one.example.id, "input": one.example.source, "gain": f"{one.gain:+.0f}", "lines": lines}


def _drawn(task: str, target: str, other: str | None, one: SideBySide) -> dict[str, Any]:
    found = marked(task, target, other, one.example)
    small = found.tree is not None and len(one.example.tokens) <= MOST_WORDS
    return {"pieces": found.pieces, "tree": tree_svg(found.tree, found.wrong) if small and found.tree else None}


def _errors(errors: Sequence[ErrorCounts]) -> dict[str, Any]:
    """Errors of each kind, by system, and how many inputs they were counted on."""
    if not errors:
        return {"kinds": [], "systems": [], "count": 0, "total": 0}
    most = max((count for one in errors for count in one.kinds.values()), default=0) or 1
    kinds = [kind for kind in errors[0].kinds if any(one.kinds[kind] for one in errors)]
    rows = [(kind, [(one.kinds[kind], 100 * one.kinds[kind] / most) for one in errors]) for kind in kinds]
    first = errors[0]
    return {"kinds": rows, "systems": [one.system for one in errors], "count": first.count, "total": first.total}


def _confusion(errors: Sequence[ErrorCounts]) -> list[dict[str, Any]]:
    """For the last system: gold's names by the answer's, in shares of gold's."""
    found = []
    for what, pairs in errors[-1].confusion.items() if errors else ():
        names = most_confused(pairs)
        totals = {name: sum(count for (gold, _), count in pairs.items() if gold == name) or 1 for name in names}
        rows = [
            (gold, [(pairs.get((gold, other), 0), pairs.get((gold, other), 0) / totals[gold]) for other in names])
            for gold in names
        ]
        if rows:
            found.append({"what": what, "system": errors[-1].system, "names": names, "rows": rows})
    return found


def _time(study: Study) -> dict[str, Any]:
    line = study.timeline
    shown = longest(line.spans, MOST_BARS)
    costs = cost_by_kind(line)
    return {
        "busy": duration(line.busy),
        "worked": duration(line.worked),
        "parallelism": f"{line.parallelism:.1f}",
        "reused": sum(span.reused for span in line.spans),
        "steps": len(line.spans),
        "shown": len(shown),
        "svg": plots.timeline_plot(Timeline(tuple(shown), line.cuts, line.busy)) if shown else None,
        "kinds": [(cost.kind, cost.steps, cost.reused, duration(cost.seconds)) for cost in costs],
        "teacher": _teacher(teacher_cost(study.run)),
    }


def _teacher(facts: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if facts is None:
        return []
    spent = facts["all_rows"]
    money = "no price given" if spent["money"] is None else f"{spent['money']:.2f}"
    return [
        ("engine", facts["engine"] or "none: all answers were known"),
        ("prompts asked", f"{facts['asked']:,}"),
        ("answers known before", f"{facts['known']:,}"),
        ("tokens in (cached)", f"{spent['tokens_in']:,} ({spent['tokens_cached']:,})"),
        ("tokens out", f"{spent['tokens_out']:,}"),
        ("money", money),
    ]


def _machine(facts: Mapping[str, Any]) -> str:
    """The machine that the command ran on, in words; empty where it is not known."""
    said = [form.format(facts[name]) for name, form in MACHINE.items() if name in facts]
    return ", ".join([*said, *facts.get("gpus", ())])


def _seconds(run: Run, key: str) -> str:
    return duration(run.records[key].seconds) if key in run.records else ""
