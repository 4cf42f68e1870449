"""The commands that look at finished runs: report, compare and review."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mckd_ray.commands.parts import add_command, count, show

if TYPE_CHECKING:
    from mckd_ray.report.analysis.run import Run

SELECTIONS = ("disagreement", "uncertain", "random")
RUN = "a run's folder, such as runs/demo, or its URI in a bucket"
TOOLS = ("argilla", "label-studio", "csv")


def add_commands(commands: Any) -> None:
    """Add them to the command line."""
    report = add_command(commands, "report", _shown(_report), "write a report of runs: one HTML file, and Markdown")
    report.add_argument("runs", nargs="+", metavar="RUN", help=RUN)
    report.add_argument(
        "--output", type=Path, metavar="FOLDER", help="where report.html and report.md go (default: RUN)"
    )
    compare = add_command(commands, "compare", _shown(_compare), "compare two runs: the same systems, paired by input")
    for name in ("first", "second"):
        compare.add_argument(name, metavar="RUN", help=RUN)
    review = commands.add_parser("review", help="have people check pseudolabels, and take what they corrected")
    actions = review.add_subparsers(required=True, metavar="ACTION")
    export = add_command(actions, "export", _shown(_export), "write inputs that are worth a person's minute to a file")
    export.add_argument("run", metavar="RUN", help=RUN)
    export.add_argument("--to", choices=TOOLS, required=True, help="the tool that will read the file")
    export.add_argument(
        "--select",
        choices=SELECTIONS,
        default="disagreement",
        help="disagreement: of the teacher and the stages (default); uncertain: least confidence; random",
    )
    export.add_argument("-n", type=count, default=50, metavar="N", help="how many inputs (default: 50)")
    export.add_argument("--output", type=Path, metavar="FILE", help="the file (default: review.csv or .json in RUN)")
    back = add_command(actions, "import", _shown(_import), "turn reviewed rows into labelled examples")
    back.add_argument("file", type=Path, metavar="FILE", help="what the tool exported")
    back.add_argument("--output", type=Path, metavar="FILE", help="the JSONL file of examples (default: FILE.jsonl)")


def _shown(function: Callable[[argparse.Namespace], tuple[Any, Any]]) -> Callable[[argparse.Namespace], int]:
    """A command from a function to its data and what draws it."""

    def run(options: argparse.Namespace) -> int:
        show(options, *function(options))
        return 0

    return run


def _written(
    run: "Run", output: Path | None, write: Callable[[Path], Sequence[Path]], name: str | None = None
) -> list[str]:
    """What `write` wrote to `output`, or else into the run's own folder, wherever that is, under `name`."""
    if output is not None:
        return [str(path) for path in write(output)]
    folder = run.place.path
    written = write(folder / name if name else folder)
    for path in written:
        run.place.root.keep(path)
    return [f"{run.folder}/{path.relative_to(folder)}" for path in written]


def _report(options: argparse.Namespace) -> tuple[Any, Any]:
    from mckd_ray.report.analysis.run import Run
    from mckd_ray.report.page.render import write_report

    runs = [Run(folder) for folder in options.runs]
    html, markdown = _written(runs[0], options.output, lambda folder: write_report(runs, folder))
    return {"html": str(html), "markdown": str(markdown)}, lambda: f"{html}\n{markdown}"


def _compare(options: argparse.Namespace) -> tuple[Any, Any]:
    from mckd_ray.report.analysis.run import Run
    from mckd_ray.report.compare import compare, comparison_table

    found = compare(Run(options.first), Run(options.second))
    return found, lambda: comparison_table(found)


def _export(options: argparse.Namespace) -> tuple[Any, Any]:
    from mckd_ray.report.analysis.run import Run
    from mckd_ray.report.review.export import SUFFIXES, write_review
    from mckd_ray.report.review.select import select

    run = Run(options.run)
    selection = select(run, options.select, options.n)
    name = f"review{SUFFIXES[options.to]}"
    files = _written(run, options.output, lambda path: write_review(selection, options.to, path), name)
    number, sampled = len(selection.candidates), selection.looked_at < selection.pool
    of = f"a sample of {selection.looked_at:,} of {selection.pool:,}" if sampled else f"{selection.pool:,}"
    data = {"inputs": number, "looked_at": selection.looked_at, "pool": selection.pool, "files": files}
    return data, lambda: f"{number} of {of} inputs: {', '.join(files)}"


def _import(options: argparse.Namespace) -> tuple[Any, Any]:
    from mckd_ray.report.review.reading import import_review

    found = import_review(options.file, options.output or options.file.with_suffix(".jsonl"))
    left = f"; {found['left_out']} were not reviewed" if found["left_out"] else ""
    return found, lambda: f"{found['rows']} labelled examples of task {found['task']}: {found['file']}{left}"
