"""Two runs side by side: the same systems, paired over the inputs that both scored."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mckd_ray.errors import DataError
from mckd_ray.report.analysis.run import Run
from mckd_ray.report.analysis.systems import System, gain, systems_of
from mckd_ray.report.wording import metric_name, p_value


def compare(first: Run, second: Run) -> dict[str, Any]:
    """Each system that both runs have: its two scores, and the second's gain over the first with interval and p-value.

    Raises DataError if the runs are of different tasks, share no system or no input, or call different inputs the same.
    """
    if first.task is not second.task:
        raise DataError(
            f"{first.name} is of task {first.task.name}, {second.name} of {second.task.name}; compare runs of one task."
        )
    split, metric = _shared_split(first, second), first.task.primary
    ours, theirs = systems_of(first, split), systems_of(second, split)
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise DataError(
            f"{first.name} has scores of {', '.join(ours) or 'no system'} on {split}, "
            f"{second.name} of {', '.join(theirs) or 'no system'}; compare runs that share a system."
        )
    _check_inputs(first, second, split)
    names = [first.name, second.name] if first.name != second.name else [first.folder, second.folder]
    return {
        "first": names[0],
        "second": names[1],
        "split": split,
        "metric": metric,
        "tested": first.task.per_example,
        "systems": [_line(ours[name], theirs[name], metric) for name in shared],
        "only_first": [name for name in ours if name not in theirs],
        "only_second": [name for name in theirs if name not in ours],
    }


def _shared_split(first: Run, second: Run) -> str:
    """Test if both were scored on it, else another that both were. Raises DataError if there is none."""
    splits = [{one.split for one in run.scored} for run in (first, second)]
    shared = splits[0] & splits[1]
    if not shared:
        raise DataError(
            f"{first.name} scores on {', '.join(splits[0])}, {second.name} on {', '.join(splits[1])}; "
            "compare runs whose plan.evaluate share a split."
        )
    return "test" if "test" in shared else min(shared)


def _check_inputs(first: Run, second: Run, split: str) -> None:
    """Raise DataError if an id stands for different inputs, or for different gold."""
    inputs, gold = first.examples(split), first.gold(split)
    others, other_gold = second.examples(split), second.gold(split)
    for name, example in inputs.items():
        if name in others and (example, gold.get(name)) != (others[name], other_gold.get(name)):
            raise DataError(
                f"'{name}' is another input of {split}, or has other gold, in {second.name} than in {first.name}; "
                "compare runs on the same inputs."
            )


def _line(ours: System, theirs: System, metric: str) -> dict[str, Any]:
    found = gain(theirs, ours)
    test = found.test
    return {
        "system": ours.name,
        "first": ours.mean(metric),
        "second": theirs.mean(metric),
        "seeds": [len(ours.seeds), len(theirs.seeds)],
        "inputs": found.count,
        "inputs_shared": found.total,
        "difference": test.difference,
        "low": test.low,
        "high": test.high,
        "p_value": test.p_value,
    }


def comparison_table(found: Mapping[str, Any]) -> RenderableType:
    """`compare` as a table."""
    table = Table(
        title=f"{metric_name(found['metric'])} on {found['split']}, %: {found['second']} against {found['first']}",
        title_justify="left",
    )
    for column in ("system", found["first"], found["second"], "gain", "95% interval", "p", "inputs"):
        table.add_column(column, justify="left" if column == "system" else "right")
    for line in found["systems"]:
        sampled = f"{line['inputs']:,} of {line['inputs_shared']:,}"
        table.add_row(
            line["system"],
            f"{line['first']:.1f}",
            f"{line['second']:.1f}",
            f"{line['difference']:+.1f}",
            f"{line['low']:+.1f} to {line['high']:+.1f}",
            p_value(line["p_value"]),
            sampled if line["inputs"] < line["inputs_shared"] else f"{line['inputs']:,}",
        )
    parts: list[RenderableType] = [table]
    for run, names in ((found["first"], found["only_first"]), (found["second"], found["only_second"])):
        if names:
            parts.append(Text(f"Only in {run}: {', '.join(names)}."))
    tested = metric_name(found["tested"])
    parts.append(Text(f"Gain: {tested} of one input, paired over the inputs; each input's mean over the seeds.", "dim"))
    return Group(*parts)
