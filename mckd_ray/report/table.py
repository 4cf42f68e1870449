"""The table that ends a run."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mckd_ray.report.preview import labelling_notes
from mckd_ray.report.wording import duration, p_value

PROBLEMS_NAMED = 5


def result_table(result: Mapping[str, Any]) -> RenderableType:
    """System, score with spread over the seeds, coverage, gains with p-values, and what each would take alone."""
    parts: list[RenderableType] = [_systems(result)]
    if result["teacher"] == "simulated":
        parts.append(Text("The teacher is simulated: gold with noise. Its figures say nothing about a real teacher."))
    parts += labelling_notes(result["labelling"])
    quality = {name: scores for name, scores in result["quality"].items() if scores["count"]}
    if quality:
        title = f"Quality of the pool's labels: {result['primary'].replace('_', ' ')}, %"
        parts += [Text(), Text(title, "italic"), _quality(quality, result["primary"])]
    parts += [Text(_stopping(chain, found)) for chain, found in result["stopping"].items()]
    parts += [Text(f"{line['name']} failed: {line['message']}", "red") for line in result["failed"]]
    parts += _problems(result["corpus"])
    parts.append(Text(_steps(result), "dim"))
    return Group(*parts)


def _problems(corpus: Mapping[str, Any]) -> list[Text]:
    count, named = corpus.get("problems", 0), corpus.get("first_problems", [])[:PROBLEMS_NAMED]
    if not count:
        return []
    more = f"; the first {len(named)}" if count > len(named) else ""
    return [Text(f"{count} problems of the corpus, left out{more}:", "yellow"), *(Text(f"  {line}") for line in named)]


def _systems(result: Mapping[str, Any]) -> Table:
    primary = result["primary"]
    table = Table(title=f"{result['name']}: {primary.replace('_', ' ')} on test, %", title_justify="left")
    for column in ("system", "score", "coverage", "over teacher", "over KD", "time alone"):
        table.add_column(column, justify="left" if column == "system" else "right")
    for name, system in result["systems"].items():
        label = f"{name} (simulated)" if name == "teacher" and result["teacher"] == "simulated" else name
        gains = (_gain(system["gain_over"].get(other)) for other in ("teacher", "kd"))
        table.add_row(label, _score(system[primary]), f"{system['coverage']:.1%}", *gains, duration(system["seconds"]))
    return table


def _quality(quality: Mapping[str, Mapping[str, float]], primary: str) -> Table:
    table = Table()
    table.add_column("labels")
    table.add_column("score", justify="right")
    table.add_column("coverage", justify="right")
    for name, scores in quality.items():
        table.add_row(name, f"{scores[primary]:.1f}", f"{scores['coverage']:.1%}")
    return table


def _score(score: Mapping[str, Any]) -> str:
    spread = f" ± {score['spread']:.1f}" if len(score["values"]) > 1 else ""
    return f"{score['mean']:.1f}{spread}"


def _gain(gain: Mapping[str, float] | None) -> str:
    if gain is None:
        return ""
    return f"{gain['difference']:+.1f} ({p_value(gain['p_value'])})"


def _stopping(chain: str, found: Mapping[str, Any]) -> str:
    scores = ", ".join(f"{name} {score:.1f}" for name, score in found["scores"].items())
    return f"The labelled budget chooses {found['stages']} stages for {chain}: {scores} on it."


def _steps(result: Mapping[str, Any]) -> str:
    steps = result["steps"]
    reused = sum(step["reused"] for step in steps)
    fresh = [step for step in steps if step["state"] == "done"]
    if not fresh:
        return f"All {reused} steps were reused."
    span = max(step["started"] + step["seconds"] for step in fresh) - min(step["started"] for step in fresh)
    return f"{len(fresh)} steps run in {duration(span)}, {reused} reused."
