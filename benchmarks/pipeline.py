"""The same distillation by the method's published way of doing it, and by ours: wall time by phase, and F1.

    python benchmarks/pipeline.py [--quick] [--json FILE] [--store FOLDER]

K=3, P=2, on sentences of the general domain of the built-in corpus; the teacher is a parser. Students of a kind start
from one checkpoint that was trained on gold of other sentences, and train as many optimiser steps on as many rows. What
all have in common (corpus, checkpoints, labels of the teacher) is made beforehand, and not timed. Ways: (a)
`published.py`, with `words`; (b) ours with `words`, from the same checkpoint; (c) ours with `tags`; (d) ours, a tagger.
Ours are timed from the start of Ray to the score of the final student. It wants an idle machine; what is made
beforehand takes an hour on two cores.

The target domain isn't taken: a transformer this small learns to copy only words that its checkpoint has seen, and what
cannot copy writes nothing in `words` that could be read.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from common import Claims, arguments, machine

from mckd_ray.config import ExperimentConfig
from mckd_ray.corpora.builtin import general_rows
from mckd_ray.plan.steps import Graph, Step
from mckd_ray.plan.store import Store
from mckd_ray.runner.reports import Report
from mckd_ray.runner.run import do_steps, graph_of

METRIC = "unlabelled_f1"
PUBLISHED = Path(__file__).with_name("published.py")
TARGETS = {"words": 2.5, "tags": 6.0, "tagger": 25.0}
"""How many times as fast as the published way each of ours is to be."""


@dataclass(frozen=True)
class Size:
    """How large the distillation is."""

    pool: int
    test: int
    general: int
    base_steps: int
    steps: int


FULL = Size(pool=2000, test=500, general=32_000, base_steps=6000, steps=250)
QUICK = Size(pool=200, test=60, general=2000, base_steps=120, steps=24)
LABELLED, RATE, BATCH, LONGEST, SEED = 50, 1e-3, 32, 256, 1


def write_corpus(folder: Path, size: Size) -> None:
    """Sentences of one domain into `folder`: `target`, with train and test, and `general`, gold to start from."""
    counts = {"target/test": size.test, "target/train": LABELLED + size.pool, "general/train": size.general}
    rows = iter(general_rows("constituency", sum(counts.values()), SEED))
    for name, count in counts.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in islice(rows, count)), encoding="utf-8")


def experiment(way: str, size: Size, corpus: Path, store: Path) -> ExperimentConfig:
    """The experiment of one of our ways."""
    scratch = {"width": 128, "layers": 2, "heads": 4, "vocabulary": 2000}
    kind = {"kind": "tagger", "scratch": {**scratch, "width": 64}, "linearisation": "tags"}
    if way != "tagger":
        kind = {"kind": "seq2seq", "scratch": scratch, "linearisation": way}
    training = {"steps": size.steps, "batch_size": BATCH, "learning_rate": RATE, "warmup": 0.0}
    # With dropout, a transformer this small takes many times as many steps until it can copy a word.
    base = {"steps": size.base_steps, "batch_size": BATCH, "learning_rate": RATE, "dropout": 0.0}
    parser = {"kind": "tagger", "scratch": {**scratch, "width": 64}, "training": {"steps": 300, "learning_rate": 2e-3}}
    return ExperimentConfig.model_validate(
        {
            "name": way,
            "task": {"kind": "constituency"},
            "corpus": {
                "path": str(corpus / "target"),
                "labelled": LABELLED,
                "dev": 0,
                "general": {"path": str(corpus / "general")},
            },
            "teacher": {"engine": "student", "shots": LABELLED, "student": parser},
            "student": {
                **kind,
                "training": training,
                "base": {"masked": {**base, "steps": max(1, size.base_steps // 4)}, "supervised": base},
                "max_source": LONGEST,
                "max_target": LONGEST,
            },
            "plan": {"stages": 3, "systems": ["mckd"]},
            "store": {"root": str(store)},
        }
    )


def final_score(graph: Graph) -> Step:
    """The step that scores the final student of K=3."""
    return next(scored.step for scored in graph.scored if scored.system == "mckd-3")


def beforehand(graph: Graph) -> list[Step]:
    """What all ways have in common: the teacher's labels and the initial checkpoint."""
    needed = graph.needs([final_score(graph)])
    train = next(step for step in reversed(needed) if step.kind == "train")
    labels = next(step for step in needed if step.kind == "label")
    return graph.needs([train.inputs["init"], labels])


@dataclass(frozen=True)
class Result:
    """What one way took, and what came out."""

    seconds: float
    phases: Mapping[str, float]
    score: float
    start_up: float = 0.0
    """Of ours, the seconds until the first optimiser step."""


def ours(config: ExperimentConfig, store: Store) -> Result:
    """Run what is left of an experiment, by the runner."""
    graph = graph_of(config)
    final = final_score(graph)
    start = time.time()
    reports = do_steps(config, graph.needs([final]), store, lambda _: None)
    seconds = time.time() - start
    record = store.record(final.key)
    if record is None:
        raise SystemExit("\n".join(report.message for report in reports.values() if report.message))
    fresh = {
        step.key: report for step in graph.steps if (report := reports.get(step.digest)) and report.started > start
    }
    phases = {kind: covered(fresh, kind) for kind in ("train", "relabel")}
    trained = [store.record(key) for key in fresh if key.startswith("train-")]
    first = min((one.facts["training_started"] for one in trained if one), default=start)
    phases["other"] = seconds - sum(phases.values())
    return Result(seconds, phases, record.facts["scores"][METRIC], first - start)


def covered(reports: Mapping[str, Report], kind: str) -> float:
    """The seconds in which some step of a kind was on; those that wait for a core count too."""
    times = sorted(
        (one.started, one.started + one.seconds) for key, one in reports.items() if key.startswith(f"{kind}-")
    )
    total, until = 0.0, 0.0
    for begin, end in times:
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def published(config: ExperimentConfig, store: Store, folder: Path) -> Result:
    """Run the published way, from the labels and the checkpoint that the experiment starts from."""
    graph = graph_of(config)
    steps: Sequence[Step] = beforehand(graph)
    at = {step.kind: store.folder(step.key) for step in steps}
    gold = next(step for step in graph.steps if step.kind == "gold")
    job: dict[str, Any] = {
        "linearisation": config.student.linearisation,
        "checkpoint": str(store.folder(next(s for s in reversed(steps) if "base on gold" in s.name).key) / "model"),
        "pool": str(at["corpus"] / "pool.parquet"),
        "test": str(at["corpus"] / "test.parquet"),
        "labels": str(at["label"] / "labels.parquet"),
        "gold": str(store.folder(gold.key) / "test.parquet"),
        "steps": config.student.training.steps,
        "learning_rate": config.student.training.learning_rate,
        "max_target": config.student.max_target,
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    subprocess.run([sys.executable, str(PUBLISHED), str(folder / "job.json")], check=True, env=environment)
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    other = result["seconds"] - sum(result["phases"].values())
    return Result(result["seconds"], {**result["phases"], "other": other}, result["scores"][METRIC])


def main() -> int:
    """Run all ways; 0 if ours are as fast as claimed, and no worse."""
    parser = arguments("The same distillation by the published way and by ours.")
    parser.add_argument("--store", type=Path, help="where steps are kept (default: a temporary folder)")
    options = parser.parse_args()
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores; {facts['versions']}", flush=True)
    size = QUICK if options.quick else FULL
    print(size, flush=True)
    with tempfile.TemporaryDirectory(prefix="mckd-pipeline-") as name:
        folder = Path(name)
        store = Store(options.store or folder / "runs")
        write_corpus(folder / "corpus", size)
        experiments = {way: experiment(way, size, folder / "corpus", store.root.base) for way in TARGETS}
        for config in experiments.values():
            graph = graph_of(config)
            gold = [step for step in graph.steps if step.kind == "gold"]
            do_steps(config, [*gold, *beforehand(graph)], store, lambda _: None)
        results = {"published": published(experiments["words"], store, folder)}
        show("published", results["published"])
        for way, config in experiments.items():
            results[way] = ours(config, store)
            show(way, results[way])
    claims = Claims("pipeline")
    base = results.pop("published")
    for way, result in results.items():
        claims.add(f"{way}: times as fast as published", base.seconds / result.seconds, ">=", TARGETS[way], "x")
        claims.add(f"{way}: F1 over published", result.score - base.score, ">=", 0, "F1")
    return claims.finish(options.json)


def show(way: str, result: Result) -> None:
    """One line."""
    phases = ", ".join(f"{name} {seconds:.0f}" for name, seconds in result.phases.items())
    start = f"; {result.start_up:.0f} until the first optimiser step" if result.start_up else ""
    print(f"{way}: {result.seconds:.0f} s ({phases}{start}), {METRIC} {result.score:.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
