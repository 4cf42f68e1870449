"""The noise study: where crossing pays, by kind and rate of the teacher's noise, size of the pool and start.

The teacher is a simulated one, gold with noise, so this says how the method reacts to noise, not how good it is. One
setting for all, one seed; `by habit`: the same part is always wrong in the same way; `by chance`: each is by itself.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import product

from study_arms import FAMILIES, SCRATCH, SEARCH_SEED, Cell, Part, Setting
from study_findings import Findings
from study_results import evaluations, primary_of
from study_tables import PLOTS
from svg import heatmap

SETTING = Setting(350, 0.2)
STAGES = 2
RATES = (0.1, 0.3, 0.5)
KINDS = {"by chance": 0.0, "by habit": 1.0}
POOLS = (500, 2000)
STARTS: Mapping[str, tuple[str, ...]] = {"pretrained": (), "from scratch": SCRATCH}
ARMS = {"MCKD-2 cross": "cross", "MCKD-2 teacher+cross": "teacher+cross", "born-again K=2": "born-again"}


def parts() -> Iterator[tuple[str, str, Part]]:
    """The row and column of the map that each part stands in, and the part."""
    for (start, more), pool, (kind, systematic), rate in product(STARTS.items(), POOLS, KINDS.items(), RATES):
        teacher = f"teacher={{engine: simulated, noise: {rate}, systematic: {systematic}}}"
        part = Part("noise", "Noise", "builtin-cpu", (teacher, f"corpus.pool={pool}", *more))
        yield f"{start}, pool of {pool:,}", f"{rate:.0%} {kind}", part


def noise_cells(part: Part) -> list[Cell]:
    """Vanilla distillation, and what is compared with it."""
    return [Cell(part, FAMILIES[name], SETTING, SEARCH_SEED, STAGES) for name in ("kd", *ARMS.values())]


def noise_tables(findings: Findings) -> str:
    """The gains over vanilla distillation as tables and maps."""
    gains: dict[str, dict[tuple[str, str], float]] = {arm: {} for arm in ("KD over teacher", *ARMS)}
    for row, column, part in parts():
        kd, *others = noise_cells(part)
        found = evaluations(kd, findings)
        if not {"kd", "teacher"} <= found.keys():
            continue
        metric = primary_of(part, [FAMILIES["kd"]])
        base = found["kd"]["test"].scores[metric]
        gains["KD over teacher"][row, column] = base - found["teacher"]["test"].scores[metric]
        for arm, cell in zip(ARMS, others, strict=True):
            scored = [splits for name, splits in evaluations(cell, findings).items() if name.endswith(f"-{STAGES}")]
            if scored and "test" in scored[0]:
                gains[arm][row, column] = scored[0]["test"].scores[metric] - base
    if not gains["KD over teacher"]:
        return "### Noise\n\n`python benchmarks/study.py --part noise`: not run yet."
    return "\n\n".join([f"### Noise\n\n{__doc__.strip()}", *(_map(arm, found) for arm, found in gains.items())])


def _map(arm: str, gains: Mapping[tuple[str, str], float]) -> str:
    names = [(row, column) for row, column, _ in parts()]
    rows, columns = (list(dict.fromkeys(some)) for some in zip(*names, strict=True))
    plot = PLOTS / f"study-noise-{re.sub('[^a-z0-9]+', '-', arm.lower())}.svg"
    title = arm if "over" in arm else f"{arm} over KD"
    heatmap(plot, f"{title}, F1 on test", columns, [(row, [gains.get((row, one)) for one in columns]) for row in rows])
    lines = [f"| {title} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for row in rows:
        shown = [f"{gains[row, one]:+.1f}" if (row, one) in gains else "" for one in columns]
        lines.append(f"| {row} | {' | '.join(shown)} |")
    return f"![{title}](plots/{plot.name})\n\n" + "\n".join(lines)
