"""The commands about data: evaluate, and data get and show."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from mckd_ray.commands.parts import add_command, config_arguments, show


def add_commands(commands: Any) -> None:
    """Add them to the command line."""
    _evaluate_command(commands)
    _data_command(commands)


def _evaluate_command(commands: Any) -> None:
    evaluate = add_command(commands, "evaluate", _evaluate, "score a file of predictions against a file of gold")
    evaluate.add_argument("--task", required=True, help="constituency, semantic or text")
    evaluate.add_argument("--gold", type=Path, required=True, help="JSONL with id and the gold annotation")
    evaluate.add_argument("--predicted", type=Path, required=True, help="JSONL with id and the annotation, or `output`")
    evaluate.add_argument("--linearisation", help="how `output` is written (default: the task's first that parses it)")
    evaluate.add_argument("--rows", action="store_true", help="also print each row's counts")


def _data_command(commands: Any) -> None:
    data = commands.add_parser("data", help="fetch a corpus, or look at one")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    get = add_command(actions, "get", _data_get, "download a corpus, verify it, say its licence")
    get.add_argument("name", help="craft, ptb, atis or snips")
    look = add_command(
        actions, "show", _data_show, "counts, lengths, labels, examples and problems of a config's corpus"
    )
    config_arguments(look)


def _evaluate(options: argparse.Namespace) -> int:
    from mckd_ray.evaluation.files import evaluate_files

    scores = evaluate_files(options.task, options.gold, options.predicted, options.rows, options.linearisation)
    show(options, scores, lambda: json.dumps(scores, indent=1, ensure_ascii=False))
    return 0


def _data_get(options: argparse.Namespace) -> int:
    from mckd_ray.corpora.catalogue import published
    from mckd_ray.corpora.download import get

    folder = get(published(options.name), lambda line: print(line, file=sys.stderr))
    show(options, {"folder": str(folder)}, lambda: str(folder))
    return 0


def _data_show(options: argparse.Namespace) -> int:
    from mckd_ray.config_file import read_config
    from mckd_ray.corpora.show import describe, render
    from mckd_ray.tasks import task_named

    config = read_config(options.config, options.override)
    description = describe(config.corpus, task_named(config.task.kind))
    show(options, description, lambda: render(description))
    return 0
