"""The study's tables as Markdown, its plots, and the goals that it is held to."""

import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from common import Claims
from study_arms import SEARCH_STAGES, Family, Part
from study_findings import Findings
from study_results import Arm, arms_of, by_setting, choices_without_gold, pool_labels, primary_of, stage_choices
from svg import points

from mckd_ray.evaluation import PairedTest

PLOTS = Path(__file__).resolve().parent.parent / "docs" / "plots"
SFT, KD = ("sft",), ("kd", "kd + gold", "kd + gold, confident")
BORN_AGAIN = ("born-again", "born-again + gold", "born-again + gold, confident")
MCKD = ("cross", "teacher+cross", "cross + gold", "teacher+cross + gold", "cross + gold, confident")
SIGNIFICANT = 0.05
OVER_TEACHER = {"builtin": 7.5, "craft": 4.0}
"""How many points the best MCKD arm is to be above the teacher."""


def best(arms: Sequence[Arm], families: Sequence[str]) -> Arm | None:
    """The arm of these families with the best mean on dev: the one that a user would choose."""
    some = [arm for arm in arms if arm.family in families]
    return max(some, key=lambda arm: arm.mean("dev"), default=None)


def part_tables(part: Part, families: Sequence[Family], findings: Findings, seeds: int, quick: bool) -> str:
    """All tables of a part, and its plot."""
    arms = arms_of(part, families, findings, seeds, quick)
    head = f"### {part.title}\n\n`python benchmarks/study.py --part {part.name}`"
    if not arms:
        return f"{head}: not run yet."
    missing = [family.name for family in families if family.name not in {arm.family for arm in arms}]
    if missing:
        head += f"; not run yet: {', '.join(missing)}"
    plot = PLOTS / f"study-{part.name}.svg"
    points(plot, f"{part.title}: {arms[0].primary} on test", [(arm.name, arm.scores("test")) for arm in arms])
    tables = [
        f"{head}.\n\n![{part.title}](plots/{plot.name})",
        arm_table(arms),
        quality_table(part, families, findings, seeds, quick),
        kinds_table(part, families, findings, seeds, quick),
        setting_table(part, families, findings, quick),
        choice_table(part, families, findings, quick),
        stages_table(part, families, findings, seeds, quick),
    ]
    return "\n\n".join(table for table in tables if table)


def arm_table(arms: Sequence[Arm]) -> str:
    """Each arm's scores, and its gains over the best arms of the controls."""
    controls = {"teacher": ("teacher",), "KD": KD, "born-again": BORN_AGAIN, "SFT-50": SFT}
    found = {name: control for name, families in controls.items() if (control := best(arms, families))}
    lines = [
        f"| arm | setting | seeds | dev | test | {' | '.join(f'over {name}' for name in found)} |",
        f"|---|---|---|---|---|{'---|' * len(found)}",
    ]
    for arm in arms:
        gains = [gain(arm.over(control)) if arm is not control else "" for control in found.values()]
        scores = [spread(arm.scores(split)) for split in ("dev", "test")]
        name = f"**{arm.name}**" if arm is best(arms, MCKD) else arm.name
        setting = arm.setting or ""
        lines.append(f"| {' | '.join([name, str(setting), str(len(arm.seeds)), *scores, *gains])} |")
    named = "; ".join(f"{name}: {arm.name}" for name, arm in found.items() if name != arm.name)
    compared = f" Compared with, by dev: {named}." if named else ""
    return "\n".join([*lines, f"\n{arms[0].primary}, %. Bold: the best MCKD arm on dev.{compared}"])


def quality_table(part: Part, families: Sequence[Family], findings: Findings, seeds: int, quick: bool) -> str:
    """How good the labels of the pool are after each stage, and what has become of the teacher's errors."""
    rows = pool_labels(part, families, findings, seeds, quick)
    if not rows:
        return ""
    metric = primary_of(part, families)
    lines = [
        f"| labels of the pool | {metric} | teacher's errors gone | what it missed found | what it had right lost |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        changed = row.changes
        shares = (changed.removed, changed.found, changed.lost) if changed else ()
        cells = [f"{share:.0f}%" for share in shares] or ["", "", ""]
        lines.append(f"| {' | '.join([row.name, spread(row.scores), *cells])} |")
    return "\n".join(lines)


def kinds_table(part: Part, families: Sequence[Family], findings: Findings, seeds: int, quick: bool) -> str:
    """Which kinds of error are left in the pool's labels, by stage, of crossing and of born-again."""
    shown = [family for family in families if family.system in ("born-again", "mckd") and not family.overrides]
    rows = [row for row in pool_labels(part, shown, findings, seeds, quick) if row.kinds] if shown else []
    if len(rows) < 2:
        return ""
    kinds = list(rows[0].kinds)
    counts = {row.name: " | ".join(f"{row.kinds[kind]:.0f}" for kind in kinds) for row in rows}
    return "\n".join(
        [
            f"| errors in 100 inputs of the pool | {' | '.join(kinds)} |",
            f"|---|{'---|' * len(kinds)}",
            *(f"| {name} | {shown} |" for name, shown in counts.items()),
            "\nKinds as `mckd report` tells them apart; one seed.",
        ]
    )


def setting_table(part: Part, families: Sequence[Family], findings: Findings, quick: bool) -> str:
    """What it costs, by the students' setting, that they relabel what they were trained on."""
    found = by_setting(part, families, findings, quick)
    names = list(dict.fromkeys(name for scores in found.values() for name in scores))
    if len(names) < 2:
        return ""
    lines = [f"| steps and dropout of all students | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for setting, scores in found.items():
        shown = [f"{scores[name][0]:.1f} → {scores[name][1]:.1f}" if name in scores else "" for name in names]
        lines.append(f"| {setting} | {' | '.join(shown)} |")
    text = f"Labels of the pool after {SEARCH_STAGES - 1} stages → test score of the student of K={SEARCH_STAGES}"
    return "\n".join([*lines, f"\n{text}; one seed."])


def choice_table(part: Part, families: Sequence[Family], findings: Findings, quick: bool) -> str:
    """What each rule for choosing steps and dropout would have cost, against dev."""
    rows = list(choices_without_gold(part, families, findings, quick))
    if not rows:
        return ""
    lines = ["| steps and dropout chosen by | dev | test | as dev does |", "|---|---|---|---|"]
    wanted = {row["arm"]: row["setting"] for row in rows if row["rule"] == "dev"}
    for rule in dict.fromkeys(row["rule"] for row in rows):
        some = [row for row in rows if row["rule"] == rule]
        means = [statistics.fmean(row[split] for row in some) for split in ("dev", "test")]
        same = sum(row["setting"] == wanted[row["arm"]] for row in some)
        lines.append(f"| {rule} | {means[0]:.1f} | {means[1]:.1f} | {same} of {len(some)} |")
    return "\n".join([*lines, f"\nMeans over {len(wanted)} arms of the search, one seed."])


def stages_table(part: Part, families: Sequence[Family], findings: Findings, seeds: int, quick: bool) -> str:
    """Which number of stages each rule picks."""
    found = stage_choices(part, families, findings, seeds, quick)
    if not found:
        return ""
    rules = {"dev": "dev", "labelled": "labelled budget", "agreement": "agreement of the two students"}
    lines = [f"| K chosen by | {' | '.join(rules.values())} |", f"|---|{'---|' * len(rules)}"]
    for family, picks in found.items():
        shown = [f"{picks[rule][0]} ({picks[rule][1]:.1f})" if rule in picks else "" for rule in rules]
        lines.append(f"| {family} | {' | '.join(shown)} |")
    return "\n".join([*lines, "\nIn brackets: the score on test of the K that is chosen."])


def goals(part: Part, families: Sequence[Family], findings: Findings, seeds: int, quick: bool, claims: Claims) -> None:
    """Hold the best MCKD arm, chosen on dev, to what the study is about."""
    arms = arms_of(part, families, findings, seeds, quick)
    ours = best(arms, MCKD)
    if ours is None:
        return
    for control in (KD, BORN_AGAIN, SFT):
        other = best(arms, control)
        if other is not None:
            test = ours.over(other)
            claims.add(f"{part.name}: {ours.name} over {other.name}", test.difference, ">=", 0, "points")
            p_value = test.p_value if test.difference > 0 else 1.0
            claims.add(f"{part.name}: p of {ours.name} over {other.name}", p_value, "<=", SIGNIFICANT, "")
    teacher = best(arms, ("teacher",))
    if teacher is not None and part.name in OVER_TEACHER:
        gained = ours.mean("test") - teacher.mean("test")
        claims.add(f"{part.name}: {ours.name} over its teacher", gained, ">=", OVER_TEACHER[part.name], "points")


def spread(scores: Sequence[float]) -> str:
    """Mean and, over several seeds, standard deviation."""
    return f"{statistics.fmean(scores):.1f}" + (f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else "")


def gain(test: PairedTest) -> str:
    """A gain with its p-value."""
    p = "p < 0.001" if test.p_value < 0.001 else f"p = {test.p_value:.3f}"
    return f"{test.difference:+.1f} ({p})"


def write_into(document: Path, name: str, text: str) -> None:
    """Put `text` between `<!-- name -->` and `<!-- /name -->` in `document`. Raises ValueError if they are missing."""
    old = document.read_text(encoding="utf-8")
    pattern = rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)"
    new, count = re.subn(pattern, lambda match: match[1] + text + match[2], old, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{document}: has no place for '{name}': a line <!-- {name} --> and one <!-- /{name} -->.")
    document.write_text(new, encoding="utf-8")
