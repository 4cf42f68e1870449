"""The tables of a sweep for people: its plan, its trials while it goes on, and what it found."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

STYLES = {"finished": "green", "running": "cyan", "stopped": "yellow", "failed": "red", "waiting": "dim"}
SHOWN = 40
"""How many rows a table has at most; sweep.parquet has all."""


def plan_table(plan: Mapping[str, Any]) -> RenderableType:
    """The trials, the steps that they would run apart, the distinct ones, and the saving."""
    trials = plan["trials"]
    settings = list(trials[0]["settings"])
    table = Table()
    for column in ("trial", *settings, "steps"):
        table.add_column(column, justify="right")
    for number, trial in enumerate(trials[:SHOWN], 1):
        last = Text(trial["problem"], "red") if trial["problem"] else str(trial["steps"])
        table.add_row(str(number), *(str(value) for value in trial["settings"].values()), last)
    steps = Table()
    for column in ("steps", "apart", "distinct", "saved"):
        steps.add_column(column, justify="left" if column == "steps" else "right")
    for kind, saving in plan["steps"].items():
        steps.add_row(kind, str(saving["apart"]), str(saving["distinct"]), f"{saving['saved']:.0%}")
    title = Text(f"{plan['name']}: {_count(plan)}", "italic")
    return Group(title, table, *_rest(len(trials)), steps, *(Text(line) for line in _notes(plan)))


def _count(plan: Mapping[str, Any]) -> str:
    whole = "a continuous space" if plan["points"] is None else f"{plan['points']} points"
    example = "; an example, as optuna chooses on the way" if plan["algorithm"] == "optuna" else ""
    seeds = ", ".join(map(str, plan["seeds"]))
    return f"{len(plan['trials'])} trials of {whole} ({plan['algorithm']}{example}), seeds {seeds}"


def _notes(plan: Mapping[str, Any]) -> list[str]:
    done = f"{plan['done']} of the {plan['steps']['all']['distinct']} distinct steps have been done."
    split = f"{plan['held_out']} held-out rows of the labelled budget" if plan["held_out"] else "dev"
    return [done, f"Trials are ranked by {plan['objective']} on {split}; none of them sees test."]


def _rest(count: int) -> list[Text]:
    return [Text(f"... and {count - SHOWN} more", "dim")] if count > SHOWN else []


def result_table(result: Mapping[str, Any]) -> RenderableType:
    """The trials, best first, then those without a final score; and how sure it is that the best is the best."""
    rows = sorted(result["trials"], key=lambda row: (row["rank"] is None, row["rank"] or 0, row["trial"]))
    title = f"{result['name']}: {result['objective'].replace('_', ' ')} on dev, %"
    table = Table(title=title, title_justify="left")
    paid = any(row["tokens"] for row in rows)
    for column in (
        "rank",
        *result["settings"],
        "score",
        "steps",
        "shared",
        "time alone",
        *(["tokens"] if paid else []),
    ):
        table.add_column(column, justify="right")
    table.add_column("")
    for row in rows[:SHOWN]:
        values = [str(row[name]) for name in result["settings"]]
        tokens = [f"{row['tokens']:,}"] if paid else []
        steps = (str(row["steps"]), str(row["steps_reused"]), f"{row['seconds']:.0f} s")
        table.add_row(str(row["rank"] or ""), *values, _score(row), *steps, *tokens, _remark(row))
    return Group(table, *_rest(len(rows)), *(Text(line) for line in _findings(result)))


def _score(row: Mapping[str, Any]) -> str:
    if row["score"] is None:
        return ""
    return f"{row['score']:.1f}" + ("" if row["spread"] is None else f" ± {row['spread']:.1f}")


def _remark(row: Mapping[str, Any]) -> Text:
    if row["state"] == "finished":
        return Text("no other is better for less" if row["pareto"] else "", "dim")
    return Text(f"{row['state']} {row['reason']}".strip(), STYLES[row["state"]])


def _findings(result: Mapping[str, Any]) -> list[str]:
    lines = [_verdict(result["verdict"])] if result["verdict"] else []
    steps = result["steps"]["all"]
    return [
        *lines,
        f"{result['executed']} steps run; the trials have {steps['distinct']} distinct ones, "
        f"{steps['apart']} if each ran apart.",
    ]


def _verdict(verdict: Mapping[str, Any]) -> str:
    p = verdict["p_value"]
    chance = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    spread = "" if verdict["spread"] is None else f", spread over the seeds {verdict['spread']:.1f}"
    says = "better than" if verdict["beats"] else "not clearly better than"
    return f"The best trial is {says} the second: {verdict['difference']:+.1f} ({chance}{spread})."
