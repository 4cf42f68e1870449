"""The plan as text: waves of steps that can run at the same time, each with what it stands on."""

from collections import Counter

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mckd_ray.plan.steps import Graph, Step
from mckd_ray.plan.store import Store
from mckd_ray.runner.reports import reused


def waves(graph: Graph) -> list[list[Step]]:
    """The steps by depth: those of a wave need only steps of earlier waves."""
    depth: dict[str, int] = {}
    for step in graph.steps:
        depth[step.digest] = 1 + max((depth[need.digest] for need in step.inputs.values()), default=-1)
    deepest = max(depth.values(), default=-1)
    return [[step for step in graph.steps if depth[step.digest] == level] for level in range(deepest + 1)]


def draw(graph: Graph, store: Store, name: str) -> RenderableType:
    """The plan called `name`: a filled dot is a step that has happened, an empty one is left to do."""
    store.root.check_readable()
    done = {step.digest for step in graph.steps if reused(store, step) is not None}
    kinds = Counter(step.kind for step in graph.steps)
    summary = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    for column in ("wave", "step", "identity", "stands on"):
        table.add_column(column, overflow="fold", no_wrap=column == "identity")
    for number, wave in enumerate(waves(graph), 1):
        for position, step in enumerate(wave):
            mark = Text("● ", "green") if step.digest in done else Text("○ ", "dim")
            needs = ", ".join(
                dict.fromkeys(need.name for need in step.inputs.values() if need.kind not in ("corpus", "gold"))
            )
            table.add_row(str(number) if position == 0 else "", mark + Text(step.name), Text(step.key, "dim"), needs)
    left = len(graph.steps) - len(done)
    title = Text(f"{name}: {len(graph.steps)} steps ({summary}); {len(done)} done before, {left} left to do")
    return Group(title, Text(), table)
