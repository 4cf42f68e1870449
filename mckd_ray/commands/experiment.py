"""The commands of an experiment: plan, run, sweep, label, status, doctor."""

import argparse
from collections.abc import Sequence
from typing import Any

from mckd_ray.commands.parts import (
    add_command,
    config_arguments,
    console,
    count,
    show,
    submission_arguments,
    submit,
    verbose_argument,
)


def add_commands(commands: Any) -> None:
    """Add them to the command line."""
    plan = add_command(commands, "plan", _plan, "show the steps of an experiment, and which are done; runs nothing")
    config_arguments(plan)
    run = add_command(commands, "run", _run, "run an experiment, or what is left of it, and print its table")
    config_arguments(run)
    verbose_argument(run)
    submission_arguments(run)
    _sweep_command(commands)
    label = add_command(commands, "label", _label, "have the teacher label the pool, or a few inputs to look at")
    config_arguments(label)
    some = label.add_mutually_exclusive_group()
    some.add_argument("--preview", type=count, metavar="N", help="show N prompts, answers and labels, and an estimate")
    some.add_argument("--limit", type=count, metavar="N", help="label N inputs only; their answers are kept")
    verbose_argument(label)
    submission_arguments(label)
    status = add_command(commands, "status", _status, "show how far a run is, from its folder alone")
    status.add_argument("run", metavar="RUN", help="the run's folder, such as runs/demo, or its URI in a bucket")
    doctor = add_command(commands, "doctor", _doctor, "check that this machine, or a cluster, can run an experiment")
    doctor.add_argument("config", nargs="?", metavar="CONFIG", help="a config to check as well")
    doctor.add_argument("--address", help="a Ray cluster to look at as well, such as http://127.0.0.1:8265")


def _sweep_command(commands: Any) -> None:
    sweep = add_command(commands, "sweep", _sweep, "search the settings of an experiment; shared steps are run once")
    config_arguments(sweep)
    sweep.add_argument("--plan", action="store_true", help="show the trials and the steps that they share; run nothing")
    sweep.add_argument("--resume", action="store_true", help="go on with a sweep that was killed or stopped")
    sweep.add_argument("--yes", action="store_true", help="mean it, where a grid has more than 100 points")
    verbose_argument(sweep)
    submission_arguments(sweep)


def _plan(options: argparse.Namespace) -> int:
    from mckd_ray.config_file import read_config
    from mckd_ray.plan.store import Store
    from mckd_ray.report.drawing import draw
    from mckd_ray.runner.run import graph_of

    config = read_config(options.config, options.override)
    graph, store = graph_of(config), Store(config.store.root)
    show(options, graph.as_data(), lambda: draw(graph, store, config.name))
    return 0


def _run(options: argparse.Namespace) -> int:
    from mckd_ray.config_file import read_config
    from mckd_ray.report.live import watching
    from mckd_ray.report.table import result_table
    from mckd_ray.runner.run import run

    if options.submit:
        return _submit(options, ["run"])
    config = read_config(options.config, options.override)
    with watching(console(stderr=True)) as watch:
        result = run(config, watch, options.verbose)
    show(options, result, lambda: result_table(result))
    if not options.json:
        print(f"More: {config.store.root}/{config.name}/result.json")
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
        show(options, plan, lambda: plan_table(plan))
        return 0
    if options.submit:
        return _submit(options, ["sweep", "--yes", *(["--resume"] if options.resume else [])])
    with watching(console(stderr=True), sweep) as watch:
        result = run_sweep(sweep, watch, options.resume, options.verbose)
    show(options, result, lambda: result_table(result))
    if not options.json and result["best"]:
        folder = f"{config.store.root}/{config.name}/sweep"
        print(f"Next: mckd run {folder}/{BEST} (all else is in {folder})")
    return 0 if result["best"] else 1


def _label(options: argparse.Namespace) -> int:
    from rich.console import Group

    from mckd_ray.config_file import read_config
    from mckd_ray.report.live import watching
    from mckd_ray.report.preview import labelled, preview, summary
    from mckd_ray.runner.label import label, label_some

    if options.submit:
        some = {"--preview": options.preview, "--limit": options.limit}
        return _submit(options, ["label", *(f"{name}={number}" for name, number in some.items() if number)])
    config = read_config(options.config, options.override)
    with watching(console(stderr=True)) as watch:
        if options.preview or options.limit:
            seen = label_some(config, options.preview or options.limit, watch, options.verbose)
        else:
            facts = label(config, watch, options.verbose)
    if options.preview:
        show(options, seen, lambda: preview(seen))
    elif options.limit:
        show(options, seen, lambda: Group(*summary(seen)))
    else:
        show(options, facts, lambda: labelled(facts))
    return 0


def _submit(options: argparse.Namespace, command: Sequence[str]) -> int:
    """Have a cluster do `command` on the config."""
    from mckd_ray.config_file import read_config
    from mckd_ray.runner.submission import package

    command = [*command, *(["--verbose"] if options.verbose else [])]
    config = read_config(options.config, options.override)
    return submit(options, config.name, lambda folder: [*command, package(config, folder).name])


def _status(options: argparse.Namespace) -> int:
    from mckd_ray.report.board import status_table
    from mckd_ray.report.status import status
    from mckd_ray.storage import place_at

    now = status(place_at(options.run))
    show(options, now, lambda: status_table(now))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from mckd_ray.report.doctor import checks, checks_table

    found = checks(options.config, options.address)
    show(options, found, lambda: checks_table(found))
    return int(any(check["state"] == "error" for check in found))
