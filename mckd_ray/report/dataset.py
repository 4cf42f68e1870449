"""`mckd export --data`: the labels that a student was trained on, as a data set with a card in the Hub's format."""

import json
import math
from pathlib import Path
from string import Template
from typing import Any

import yaml

from mckd_ray import __version__
from mckd_ray.errors import DataError, StoreError, nearest
from mckd_ray.records import Label
from mckd_ray.report.analysis.pool import Pool
from mckd_ray.report.analysis.run import Run
from mckd_ray.report.wording import metric_name
from mckd_ray.runner.provenance import corpus_name, data_terms, provenance
from mckd_ray.storage.files import write_text

ROWS, CARD = "train.jsonl", "README.md"
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
"""The Hub's names for sizes, each with the size that it ends at."""
WRITERS = {
    "teacher": "by the teacher itself",
    "cross": "by students that had not been trained on the input",
    "own": "by students that had been trained on the input",
    "mixed": "by students of which some had been trained on the input",
}
COLUMNS = {
    "id": "of the input",
    "tokens": "the input, in words",
    "text": "the input",
    "tree": "the label: Penn brackets",
    "tags": "the label: BIO tags of the slots",
    "intent": "the label: the intent",
    "target": "the label",
    "confidence": "mean log-probability of what the model wrote for it; null where there is none",
}


def export_data(run: Run, folder: Path, system: str | None = None) -> dict[str, Any]:
    """Write the latest labels that `system` of `run` was trained on into `folder`, new or empty, with their card.

    Default: the system with most stages. Inputs without a usable label are left out. Returns what was written. Raises
    DataError if the system was trained on no labels, or they are not there yet; StoreError if the folder can't be used.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder}: is there already and not empty; name a new folder.")
    system, key = _taught(run, system)
    if key not in run.records:
        raise DataError(f"{run.name}: the labels that '{system}' is trained on are not there yet; run it first.")
    examples = run.examples("pool")
    labels = {name: label for name, label in run.labels(key).items() if name in examples}  # A teacher labels test, too.
    rows = [
        {**run.task.write(examples[name], label.target), "confidence": _confidence(label)}
        for name, label in labels.items()
        if label.outcome.usable
    ]
    write_text(folder / ROWS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_text(folder / CARD, _card(run, folder.resolve().name, system, key, labels, rows))
    return {"folder": str(folder), "rows": len(rows), "left_out": len(labels) - len(rows), "system": system}


def _confidence(label: Label) -> float | None:
    return None if math.isnan(label.confidence) else label.confidence


def _taught(run: Run, system: str | None) -> tuple[str, str]:
    """A system, and the key of the labels that it was trained on last."""
    pool = Pool(run)
    found: dict[str, str] = {}
    for one in run.scored:
        relabel = run.by_key[run.by_key[one.key].inputs["labels"]]
        taught = pool.taught(relabel) if relabel.kind == "relabel" else None
        if taught is not None:
            found.setdefault(one.system, taught)
    if system is not None and system not in found:
        raise DataError(f"--system {system}: {run.name} trains no such system on labels.{nearest(system, found)}")
    if not found:
        raise DataError(f"{run.name}: none of its systems is trained on labels; there is nothing to export.")
    staged = [name for name in found if name.startswith("mckd")]
    chosen = system or (staged or list(found))[-1]
    return chosen, found[chosen]


def _card(run: Run, name: str, system: str, key: str, labels: dict[str, Label], rows: list[dict[str, Any]]) -> str:
    """The README of the data set, in the Hub's format: YAML front matter, then Markdown."""
    facts = provenance(run.place)
    size = next((name for most, name in SIZES if len(rows) < most), "n>10M")
    front = {
        "pretty_name": name,
        "task_categories": [run.task.hub_task],
        "size_categories": [size],
        "tags": ["mckd", "pseudolabels", run.task.name],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": ROWS}]}],
    }
    corpus = next(record.facts for record in run.records.values() if record.kind == "corpus")
    template = Template(Path(__file__).with_name("data_card.md").read_text(encoding="utf-8"))
    return template.substitute(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True),
        name=name,
        count=f"{len(rows):,}",
        task=run.task.summary,
        system=system,
        run=run.name,
        version=__version__,
        columns=_columns(rows),
        corpus=corpus_name(facts),
        labelled=f"{corpus['rows']['labelled']:,}",
        pool=f"{corpus['rows']['pool']:,}",
        teacher=facts["teacher"],
        method=_method(run, key, facts),
        outcomes=_outcomes(labels),
        quality=_quality(run, key),
        terms=data_terms(facts),
    )


def _columns(rows: list[dict[str, Any]]) -> str:
    names = rows[0] if rows else {}
    return "\n".join(f"| `{name}` | {COLUMNS.get(name, 'the label')} |" for name in names)


def _method(run: Run, key: str, facts: dict[str, Any]) -> str:
    pool, step = Pool(run), run.by_key[key]
    stages, who = pool.stage(step), WRITERS[pool.origin(step)]
    after = f"after {stages} stage{'s' if stages > 1 else ''} over {facts['partitions']} partitions, " if stages else ""
    return f"These labels were written {after}{who}."


def _outcomes(labels: dict[str, Label]) -> str:
    left = sum(not label.outcome.usable for label in labels.values())
    repaired = sum(label.outcome == "repaired" for label in labels.values())
    return f"{repaired:,} labels were repaired to be valid; {left:,} inputs without a usable label are left out."


def _quality(run: Run, key: str) -> str:
    """The score of the table, where the pool has gold."""
    for evaluation in run.quality.values():
        found = run.evaluation(evaluation) if run.by_key[evaluation].inputs["labels"] == key else None
        if found is not None:
            metric = run.task.primary
            return (
                f"{metric_name(metric)} {found['scores'][metric]:.1f}% against the gold of {found['count']:,} of these "
                "inputs, which nothing else has read."
            )
    return "Unknown: these inputs have no gold."
