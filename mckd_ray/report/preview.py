"""What a teacher wrote for a few inputs, and what the rest will cost."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

STYLES = {"ok": "green", "repaired": "yellow", "unparsable": "red", "failed": "red"}


def preview(seen: Mapping[str, Any]) -> RenderableType:
    """Each input's prompt, answer and label, then the estimate."""
    return Group(*(_row(row) for row in seen["rows"]), *summary(seen))


def summary(seen: Mapping[str, Any]) -> list[Text]:
    """What was asked, with which outcomes, and what the rest will cost."""
    outcomes = [row["outcome"] for row in seen["rows"]]
    counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in dict.fromkeys(outcomes))
    lines = [Text(f"{len(outcomes)} inputs: {counts}.")]
    if seen["facts"]:
        lines.append(Text(spent(seen["facts"]["teacher"])))
    if seen["estimate"] is not None:
        lines.append(Text(_estimate(seen["estimate"])))
    return lines


def labelled(facts: Mapping[str, Any]) -> RenderableType:
    """What a whole labelling step left."""
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in facts["outcomes"].items() if count)
    return Group(Text(f"{facts['rows']} inputs: {outcomes}."), *labelling_notes(facts), Text(facts["labels"]))


def labelling_notes(facts: Mapping[str, Any]) -> list[Text]:
    """What a labelling step took, and which inputs it could not label."""
    notes = []
    if "teacher" in facts:
        notes.append(Text(spent(facts["teacher"])))
    if facts.get("first_failed"):
        count, named = facts["outcomes"]["failed"], facts["first_failed"]
        more = f"; the first {len(named)}" if count > len(named) else ""
        again = f" ({facts['unanswered']} are asked again on the next run)" if facts.get("unanswered") else ""
        notes.append(Text(f"The teacher gave no label for {count} inputs{again}{more}:", "yellow"))
        notes += [Text(f"  {line}") for line in named]
    return notes


def spent(facts: Mapping[str, Any]) -> str:
    """What asking a teacher took, in a sentence."""
    if not facts["asked"]:
        return f"All {facts['known']} answers were known; nothing was asked."
    cost = "" if facts["money"] is None else f", costing {facts['money']:.2f}"
    return (
        f"{facts['engine']}: {facts['asked']} asked in {facts['seconds']:.0f} s, {facts['known']} known before; "
        f"{facts['tokens_in']:,} tokens in ({facts['tokens_cached']:,} cached), {facts['tokens_out']:,} out, "
        f"{facts['tokens_out_per_second']:.0f} a second{cost}."
    )


def _estimate(estimate: Mapping[str, Any]) -> str:
    if not estimate["rows"]:
        return "Nothing is left to ask."
    if "tokens_in" not in estimate:
        return f"{estimate['rows']} prompts are left; as none was answered, there is no estimate."
    cost = "" if estimate["money"] is None else f", costing {estimate['money']:.2f}"
    time = "" if estimate["seconds"] is None else f", {estimate['seconds'] / 60:.0f} min at most (at this speed)"
    return (
        f"The other {estimate['rows']} prompts: about {estimate['tokens_in']:,.0f} tokens in, "
        f"{estimate['tokens_out']:,.0f} out{time}{cost}."
    )


def _row(row: Mapping[str, Any]) -> RenderableType:
    said = row.get("samples") or [row["raw"]]
    outcome = Text(f"{row['outcome']} {row['reason']}", STYLES[row["outcome"].value])
    parts = [
        Text(row.get("prompt", row["input"]), "dim"),
        *(Text(f"→ {text}", "bold") for text in said),
        outcome,
        Text(row["target"]),
    ]
    return Panel(Group(*parts), title=row["id"], title_align="left")
