"""What the commands share: arguments, and how results are printed."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mckd_ray.runner.submission import Pack


def add_command(commands: Any, name: str, function: Any, summary: str) -> argparse.ArgumentParser:
    """Add the command `name`, which calls `function`."""
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + "."
    )
    command.set_defaults(command=function)
    command.add_argument("--json", action="store_true", help="print JSON for machines")
    return command


def verbose_argument(command: argparse.ArgumentParser) -> None:
    """For a command that starts Ray."""
    command.add_argument("-v", "--verbose", action="store_true", help="show the log of Ray and its workers")


def config_arguments(command: argparse.ArgumentParser) -> None:
    """For a command on an experiment."""
    command.add_argument("config", metavar="CONFIG", help="the experiment's YAML file, or its URI in a bucket")
    command.add_argument(
        "-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="set a key, such as plan.stages=3"
    )


def submission_arguments(command: argparse.ArgumentParser) -> None:
    """For a command that a cluster can do."""
    command.add_argument("--submit", metavar="ADDRESS", help="have a Ray cluster do it, such as http://127.0.0.1:8265")
    command.add_argument("--no-wait", action="store_true", help="with --submit: return as soon as the job is accepted")


def submit(options: argparse.Namespace, name: str, pack: "Pack") -> int:
    """Have a cluster do what `pack` prepares. With --json, standard output has what became of the job, and no log."""
    from dataclasses import asdict

    from mckd_ray.runner.submission import submit

    log = sys.stderr if options.json else sys.stdout
    job = submit(name, pack, options.submit, not options.no_wait, lambda text: print(text, end="", file=log))
    show(options, asdict(job), lambda: f"job {job.id}: {job.status}")
    return job.exit_status or 0


def count(text: str) -> int:
    """A number of inputs, one at least."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of inputs; give 1 or more")
    return int(text)


def show(options: argparse.Namespace, data: Any, draw: Any) -> None:
    """Print a result: with --json its `data`, else what `draw()` makes of it."""
    if options.json:
        print(json.dumps(data, indent=1, ensure_ascii=False))
    else:
        console().print(draw(), highlight=False)


def console(stderr: bool = False) -> Any:
    """Where people read: as wide as the terminal, or 140 columns in a file."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 140)
