"""The command line: parse, call, print. Exit status 0: done; 1: something failed; 2: wrong use or bad input."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mckd_ray import __version__, cli_serving
from mckd_ray.errors import MckdError
from mckd_ray.report.commands import add_commands


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

    plan = _command(commands, "plan", _plan, "show the steps of an experiment, and which are done; runs nothing")
    _config(plan)
    run = _command(commands, "run", _run, "run an experiment, or what is left of it, and print its table")
    _config(run)
    run.add_argument("-v", "--verbose", action="store_true", help="show the log of Ray and its workers")
    _submission(run)
    _sweep_command(commands)
    label = _command(commands, "label", _label, "have the teacher label the pool, or a few inputs to look at")
    _config(label)
    some = label.add_mutually_exclusive_group()
    some.add_argument("--preview", type=_count, metavar="N", help="show N prompts, answers and labels, and an estimate")
    some.add_argument("--limit", type=_count, metavar="N", help="label N inputs only; their answers are kept")
    label.add_argument("-v", "--verbose", action="store_true", help="show the log of Ray and its workers")
    _submission(label)
    status = _command(commands, "status", _status, "show how far a run is, from its folder alone")
    status.add_argument("run", type=Path, metavar="RUN", help="the run's folder, such as runs/demo")
    doctor = _command(commands, "doctor", _doctor, "check that this machine, or a cluster, can run an experiment")
    doctor.add_argument("config", type=Path, nargs="?", metavar="CONFIG", help="a config to check as well")
    doctor.add_argument("--address", help="a Ray cluster to look at as well, such as http://127.0.0.1:8265")
    _evaluate_command(commands)
    _data_command(commands)
    add_commands(commands, _command, _print, _count)
    cli_serving.add_commands(partial(_command, commands), _print)
    return top


def _command(commands: Any, name: str, function: Any, summary: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + "."
    )
    command.set_defaults(command=function)
    command.add_argument("--json", action="store_true", help="print JSON for machines")
    return command


def _config(command: argparse.ArgumentParser) -> None:
    command.add_argument("config", type=Path, metavar="CONFIG", help="the experiment's YAML file")
    command.add_argument(
        "-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="set a key, such as plan.stages=3"
    )


def _submission(command: argparse.ArgumentParser) -> None:
    command.add_argument("--submit", metavar="ADDRESS", help="have a Ray cluster do it, such as http://127.0.0.1:8265")
    command.add_argument("--no-wait", action="store_true", help="with --submit: return as soon as the job is accepted")


def _count(text: str) -> int:
    """A number of inputs, one at least."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of inputs; give 1 or more")
    return int(text)


def _evaluate_command(commands: Any) -> None:
    evaluate = _command(commands, "evaluate", _evaluate, "score a file of predictions against a file of gold")
    evaluate.add_argument("--task", required=True, help="constituency, semantic or text")
    evaluate.add_argument("--gold", type=Path, required=True, help="JSONL with id and the gold annotation")
    evaluate.add_argument("--predicted", type=Path, required=True, help="JSONL with id and the annotation, or `output`")
    evaluate.add_argument("--linearisation", help="how `output` is written (default: the task's first that parses it)")
    evaluate.add_argument("--rows", action="store_true", help="also print each row's counts")


def _sweep_command(commands: Any) -> None:
    sweep = _command(commands, "sweep", _sweep, "search the settings of an experiment; shared steps are run once")
    _config(sweep)
    sweep.add_argument("--plan", action="store_true", help="show the trials and the steps that they share; run nothing")
    sweep.add_argument("--resume", action="store_true", help="go on with a sweep that was killed or stopped")
    sweep.add_argument("--yes", action="store_true", help="mean it, where a grid has more than 100 points")
    sweep.add_argument("-v", "--verbose", action="store_true", help="show the log of Ray and its workers")


def _data_command(commands: Any) -> None:
    data = commands.add_parser("data", help="fetch a corpus, or look at one")
    actions = data.add_subparsers(required=True, metavar="ACTION")
    get = _command(actions, "get", _data_get, "download a corpus, verify it, say its licence")
    get.add_argument("name", help="craft, ptb, atis or snips")
    show = _command(actions, "show", _data_show, "counts, lengths, labels, examples and problems of a config's corpus")
    _config(show)


def _plan(options: argparse.Namespace) -> int:
    from mckd_ray.config_file import read_config
    from mckd_ray.plan.store import Store
    from mckd_ray.report.drawing import draw
    from mckd_ray.runner.run import graph_of

    config = read_config(options.config, options.override)
    graph, store = graph_of(config), Store(config.store.root)
    _print(options, graph.as_data(), lambda: draw(graph, store, config.name))
    return 0


def _run(options: argparse.Namespace) -> int:
    from mckd_ray.config_file import read_config
    from mckd_ray.report.live import watching
    from mckd_ray.report.table import result_table
    from mckd_ray.runner.run import run, run_folder

    if options.submit:
        return _submit(options, ["run"])
    config = read_config(options.config, options.override)
    with watching(_console(stderr=True)) as watch:
        result = run(config, watch, options.verbose)
    _print(options, result, lambda: result_table(result))
    if not options.json:
        print(f"More: {run_folder(config) / 'result.json'}")
    return max((failure["exit_status"] for failure in result["failed"]), default=0)


def _sweep(options: argparse.Namespace) -> int:
    from mckd_ray.config_file import read_config
    from mckd_ray.sweep.live import watching
    from mckd_ray.sweep.sweep import BEST, check_size, plan_of, planned, run_sweep
    from mckd_ray.sweep.tables import plan_table, result_table

    config = read_config(options.config, options.override)
    if not options.yes:
        check_size(config)
    sweep = planned(config)
    if options.plan:
        plan = plan_of(sweep)
        _print(options, plan, lambda: plan_table(plan))
        return 0
    with watching(_console(stderr=True), sweep) as watch:
        result = run_sweep(sweep, watch, options.resume, options.verbose)
    _print(options, result, lambda: result_table(result))
    if not options.json and result["best"]:
        print(f"Next: mckd run {sweep.folder / BEST} (all else is in {sweep.folder})")
    return 0 if result["best"] else 1


def _label(options: argparse.Namespace) -> int:
    from rich.console import Group

    from mckd_ray.config_file import read_config
    from mckd_ray.report.live import watching
    from mckd_ray.report.preview import labelled, preview, summary
    from mckd_ray.runner.label import label, label_some

    if options.submit:
        some = {"--preview": options.preview, "--limit": options.limit}
        return _submit(options, ["label", *(f"{name}={count}" for name, count in some.items() if count)])
    config = read_config(options.config, options.override)
    with watching(_console(stderr=True)) as watch:
        if options.preview or options.limit:
            seen = label_some(config, options.preview or options.limit, watch, options.verbose)
        else:
            facts = label(config, watch, options.verbose)
    if options.preview:
        _print(options, seen, lambda: preview(seen))
    elif options.limit:
        _print(options, seen, lambda: Group(*summary(seen)))
    else:
        _print(options, facts, lambda: labelled(facts))
    return 0


def _submit(options: argparse.Namespace, command: Sequence[str]) -> int:
    """Have a cluster do `command`. With --json, standard output has what became of the job, and no log."""
    from dataclasses import asdict

    from mckd_ray.config_file import read_config
    from mckd_ray.runner.submission import submit

    log = sys.stderr if options.json else sys.stdout
    command = [*command, *(["--verbose"] if options.verbose else [])]
    config = read_config(options.config, options.override)
    job = submit(config, command, options.submit, not options.no_wait, lambda text: print(text, end="", file=log))
    _print(options, asdict(job), lambda: f"job {job.id}: {job.status}")
    return job.exit_status or 0


def _status(options: argparse.Namespace) -> int:
    from mckd_ray.report.status import status, status_table

    now = status(options.run)
    _print(options, now, lambda: status_table(now))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from mckd_ray.report.doctor import checks, checks_table

    found = checks(options.config, options.address)
    _print(options, found, lambda: checks_table(found))
    return int(any(check["state"] == "error" for check in found))


def _evaluate(options: argparse.Namespace) -> int:
    from mckd_ray.evaluation.files import evaluate_files

    scores = evaluate_files(options.task, options.gold, options.predicted, options.rows, options.linearisation)
    _print(options, scores, lambda: json.dumps(scores, indent=1, ensure_ascii=False))
    return 0


def _data_get(options: argparse.Namespace) -> int:
    from mckd_ray.corpora.catalogue import published
    from mckd_ray.corpora.download import get

    folder = get(published(options.name), lambda line: print(line, file=sys.stderr))
    _print(options, {"folder": str(folder)}, lambda: str(folder))
    return 0


def _data_show(options: argparse.Namespace) -> int:
    from mckd_ray.config_file import read_config
    from mckd_ray.corpora.show import describe, render
    from mckd_ray.tasks import TASKS

    config = read_config(options.config, options.override)
    description = describe(config.corpus, TASKS[config.task.kind])
    _print(options, description, lambda: render(description))
    return 0


def _print(options: argparse.Namespace, data: Any, draw: Any) -> None:
    if options.json:
        print(json.dumps(data, indent=1, ensure_ascii=False))
    else:
        _console().print(draw(), highlight=False)


def _console(stderr: bool = False) -> Any:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else 140)


if __name__ == "__main__":
    sys.exit(main())
