"""Does the method pay? Every arm tuned alike, with the controls, on each corpus; tables and plots for docs/results.md.

    python benchmarks/study.py [--quick] [--json FILE] [--part NAME ...] [--seeds N] [--store DIR] [--table]
                               [--keep] [--write]

Each cell is made of steps in the store, so what is stopped goes on where it was, and a second process started with the
same command takes what the first is not doing. `--table` runs nothing and shows what is known; `--keep` puts the scores
into benchmarks/study/, so that the study goes on without the store; `--write` puts the tables into docs/results.md. The
real corpora are below $MCKD_DATA. Students train in this process, one thread each, without Ray: the same steps as in a
run, without the start of a training run for each of some hundred small students.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from common import Claims, arguments, machine
from study_agreement import agreement_steps
from study_arms import FAMILIES, PARTS, Cell, Family, Part, search_cells, seed_cells
from study_findings import Findings
from study_noise import noise_cells, noise_tables, parts
from study_results import chosen_setting
from study_tables import goals, part_tables, write_into

from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.runner.reports import Report

NAMES = (*PARTS, "noise")
QUICK_FAMILIES = ("sft", "kd", "born-again", "cross")
QUICK_SEEDS = 2
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "results.md"


def run_part(part: Part, families: Sequence[Family], store: Store, seeds: int, quick: bool) -> None:
    """Search each family's setting on dev, then train it with all seeds; those with gold come last."""
    for wave in (False, True):
        together = [family for family in families if family.with_gold == wave]
        run(f"{part.name} search", searched(part, together, quick), store)
        seeded = seeded_cells(part, together, Findings(store), seeds, quick)
        run(f"{part.name} seeds", sorted(seeded, key=lambda cell: cell.seed), store)


def searched(part: Part, families: Sequence[Family], quick: bool) -> list[Cell]:
    """The cells of the search."""
    return [cell for family in families for cell in search_cells(part, family, quick)]


def seeded_cells(part: Part, families: Sequence[Family], findings: Findings, seeds: int, quick: bool) -> list[Cell]:
    """The cells of the settings that the search has chosen."""
    chosen = [(family, chosen_setting(part, family, findings, quick)) for family in families]
    return [cell for family, setting in chosen if setting for cell in seed_cells(part, family, setting, seeds)]


def run(name: str, cells: Sequence[Cell], store: Store) -> None:
    """Do what is left of the steps of some cells. Exits with 1 if one fails."""
    from mckd_ray.runner.perform import perform_here

    findings = Findings(store)
    some = [cell for cell in cells if not findings.has(cell)]
    for cell in some[:1]:
        ask_teacher(cell, store)
    steps = {step.digest: step for cell in some for step in [*cell.graph.steps, *agreement_steps(cell)]}
    left = sum(store.record(step.key) is None for step in steps.values())
    print(f"{name}: {len(some)} cells, {left} of {len(steps)} steps to do", flush=True)
    ended = 0

    def watch(step: Step, report: Report) -> None:
        nonlocal ended
        ended += 1
        if report.state != "reused":
            clock = time.strftime("%H:%M:%S")
            text = f"{clock} {name} {ended}/{len(steps)} {step.name}: {report.state} {report.seconds:.0f} s"
            print(f"{text} {report.message}", flush=True)

    reports = perform_here(list(steps.values()), store, watch)
    if any(report.state == "failed" for report in reports.values()):
        sys.exit(1)


def ask_teacher(cell: Cell, store: Store) -> None:
    """Let a prompted teacher label, which takes Ray."""
    from mckd_ray.runner.dispatch import is_asking
    from mckd_ray.runner.run import do_steps

    asking = [step for step in cell.graph.steps if is_asking(step)]
    if any(store.record(step.key) is None for step in asking):
        do_steps(cell.config, cell.graph.needs(asking), store, lambda reports: None)


def study_part(part: Part, options: argparse.Namespace, store: Store, claims: Claims) -> str:
    """Run a part, unless only its tables are wanted; the tables, and its goals among the claims."""
    names = options.family or (QUICK_FAMILIES if options.quick else part.families)
    families = [FAMILIES[name] for name in names if name in part.families]
    seeds = options.seeds or (QUICK_SEEDS if options.quick else part.seeds)
    if not options.table:
        run_part(part, families, store, seeds, options.quick)
    findings = Findings(store)
    if options.keep:
        cells = searched(part, families, options.quick) + seeded_cells(part, families, findings, seeds, options.quick)
        findings.keep(part.name, cells)
    goals(part, families, findings, seeds, options.quick, claims)
    return part_tables(part, families, findings, seeds, options.quick)


def study_noise(options: argparse.Namespace, store: Store) -> str:
    """Run the noise study, unless only its tables are wanted."""
    cells = [cell for _, _, part in parts() for cell in noise_cells(part)]
    if not options.table:
        run("noise", cells, store)
    findings = Findings(store)
    if options.keep:
        findings.keep("noise", cells)
    return noise_tables(findings)


def main() -> int:
    """Run, or only show, the parts that are asked for; 0 if all goals that can be judged are reached."""
    parser = arguments("The study.")
    parser.add_argument("--part", nargs="*", default=[], choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    families = ", ".join(FAMILIES).replace("%", "%%")
    parser.add_argument("--family", nargs="*", default=[], choices=FAMILIES, metavar="NAME", help=families)
    parser.add_argument("--seeds", type=int, help="seeds for each arm (default: what the part says)")
    parser.add_argument("--store", type=Path, default=Path("runs/study"), help="where the steps are kept")
    parser.add_argument("--table", action="store_true", help="run nothing: show what the store has")
    parser.add_argument("--keep", action="store_true", help="put the scores into benchmarks/study/")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/results.md")
    options = parser.parse_args()
    store, claims, texts = Store(options.store), Claims("study"), []
    for name in options.part or (NAMES[:1] if options.quick else NAMES):
        if name == "noise":
            texts.append(study_noise(options, store))
        else:
            texts.append(study_part(PARTS[name], options, store, claims))
        print(f"\n{texts[-1]}\n", flush=True)
    if options.write:
        write_into(DOCUMENT, "study", "\n\n".join(texts))
    print(f"\n{machine()}")
    return claims.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
