"""The command line: parse, call, print. Exit status 0: done; 1: something failed; 2: wrong use or bad input."""

import argparse
import os
import sys
from collections.abc import Sequence

from mckd_ray import __version__
from mckd_ray.commands import data, experiment, report, serving
from mckd_ray.errors import MckdError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except MckdError as error:
        print(f"mckd: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("mckd: stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="mckd",
        description="Distil a small, accurate sequence generator from an LLM, a few labels and much unlabelled text: "
        "multistage collaborative knowledge distillation on Ray.",
    )
    top.add_argument("--version", action="version", version=f"mckd {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    for group in (experiment, data, report, serving):
        group.add_commands(commands)
    return top


if __name__ == "__main__":
    sys.exit(main())
