"""The plan as a drawn graph: rows of steps that can run at the same time, from top to bottom; and as Mermaid."""

import re
import textwrap
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from mckd_ray.report.analysis.run import PlannedStep, Run
from mckd_ray.report.page.palette import KIND_COLOURS

MOST_DRAWN = 60
"""A larger plan is drawn for the first seed only."""
_WIDTH, _HEIGHT, _LEFT, _ROW = 120, 38, 12, 72
_LINE, _LETTERS = 13, 16
"""The height of a line of text, and its letters: a box holds two."""
_SWEEPS = 4
_SEED = re.compile(r" seed \d+$")
_EVERYWHERE = ("corpus", "gold")
"""Nearly all steps read these, so they are not drawn."""


def drawn_steps(run: Run) -> list[PlannedStep]:
    """The steps that are drawn: all but corpus and gold; of a large plan those of each system's first seed."""
    steps = [step for step in run.steps if step.kind not in _EVERYWHERE]
    if len(steps) <= MOST_DRAWN:
        return steps
    first: dict[str, str] = {}
    for one in run.scored:
        first.setdefault(one.system, one.key)
    wanted = {step.key for step in run.needs(list(first.values()))}
    return [step for step in steps if step.key in wanted or step.inputs.get("labels") in wanted]


def rows_of(steps: Sequence[PlannedStep]) -> list[list[PlannedStep]]:
    """The steps by depth, each row ordered so that lines cross little (by the mean place of what they read)."""
    known = {step.key for step in steps}
    depth: dict[str, int] = {}
    for step in steps:
        depth[step.key] = 1 + max((depth[key] for key in step.inputs.values() if key in known), default=-1)
    rows = [
        [step for step in steps if depth[step.key] == level] for level in range(max(depth.values(), default=-1) + 1)
    ]
    readers: dict[str, list[str]] = {}
    for step in steps:
        for key in step.inputs.values():
            readers.setdefault(key, []).append(step.key)
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            places = {step.key: place / len(some) for some in rows for place, step in enumerate(some)}
            _order(row, places, readers, up=sweep % 2 == 0)
    return rows


def _order(row: list[PlannedStep], places: Mapping[str, float], readers: Mapping[str, Sequence[str]], up: bool) -> None:
    def mean(step: PlannedStep) -> float:
        others = list(step.inputs.values()) if up else list(readers.get(step.key, ()))
        near = [places[key] for key in others if key in places]
        return sum(near) / len(near) if near else places[step.key]

    row.sort(key=mean)


def plan_svg(run: Run, states: Mapping[str, str]) -> Markup:
    """The plan with the state of each step by key."""
    rows = rows_of(drawn_steps(run))
    width = max((len(row) for row in rows), default=1) * (_WIDTH + _LEFT) + _LEFT
    corners = {
        step.key: (
            (width - len(row) * (_WIDTH + _LEFT) + _LEFT) / 2 + place * (_WIDTH + _LEFT),
            level * _ROW + 4,
        )
        for level, row in enumerate(rows)
        for place, step in enumerate(row)
    }
    parts = [
        Markup('<svg class="plan" role="img" viewBox="0 0 {:.0f} {:.0f}" style="width:{:.0f}px">').format(
            width, len(rows) * _ROW, width
        )
    ]
    parts.append(Markup("<title>{}</title>").format(f"The plan of {run.name}"))
    steps = [step for row in rows for step in row]
    lines = [(corners[key], corners[step.key]) for step in steps for key in step.inputs.values() if key in corners]
    parts += [_line(*line) for line in lines]
    one_seed = len(run.config["plan"]["seeds"]) == 1 or len(steps) + len(_EVERYWHERE) < len(run.steps)
    for step in steps:
        name = _SEED.sub("", step.name) if one_seed else step.name
        parts.append(_box(step, name, *corners[step.key], states[step.key]))
    return Markup("").join([*parts, Markup("</svg>")])


def _line(start: tuple[float, float], end: tuple[float, float]) -> Markup:
    (x0, y0), (x1, y1) = start, end
    x0, y0, x1 = x0 + _WIDTH / 2, y0 + _HEIGHT, x1 + _WIDTH / 2
    bend = (y1 - y0) / 2
    kind = "edge" if y1 - y0 < _ROW else "edge far"
    path = Markup('<path class="{}" d="M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}"/>')
    return path.format(kind, x0, y0, x0, y0 + bend, x1, y1 - bend, x1, y1)


def _box(step: PlannedStep, name: str, x: float, y: float, state: str) -> Markup:
    box = Markup(
        '<g class="step {}"><title>{}</title><rect x="{:.1f}" y="{:.1f}" width="{}" height="{}" rx="6" '
        'style="--shade:var(--{})"/>{}</g>'
    )
    title = f"{step.name}: {state} ({step.key})"
    lines = textwrap.wrap(name, _LETTERS, max_lines=2, placeholder="…")
    first = y + _HEIGHT / 2 + 4 - (len(lines) - 1) * _LINE / 2
    text = Markup('<text x="{:.1f}" y="{:.1f}">{}</text>')
    said = [text.format(x + _WIDTH / 2, first + number * _LINE, line) for number, line in enumerate(lines)]
    return box.format(state, title, x, y, _WIDTH, _HEIGHT, KIND_COLOURS[step.kind], Markup("").join(said))


def plan_mermaid(run: Run) -> str:
    """The same for Markdown, in the language of Mermaid."""
    steps = drawn_steps(run)
    names = {step.key: f"s{number}" for number, step in enumerate(steps)}
    lines = ["graph TD"]
    lines += [f'  {names[step.key]}["{step.name.replace(chr(34), chr(39))}"]' for step in steps]
    lines += [f"  {names[key]} --> {names[step.key]}" for step in steps for key in step.inputs.values() if key in names]
    return "\n".join(lines)
