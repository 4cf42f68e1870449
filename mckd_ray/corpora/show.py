"""`mckd data show`: what a corpus holds, as data and as a page for people."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from mckd_ray.config import DATA_SCHEME, CorpusConfig
from mckd_ray.corpora.catalogue import CATALOGUE
from mckd_ray.corpora.corpus import Corpus, load
from mckd_ray.records import Example
from mckd_ray.tasks.base import Task

EXAMPLES = 3


def describe(config: CorpusConfig, task: Task) -> dict[str, Any]:
    """Counts, lengths, names of labels, examples, problems and licence of a corpus, ready for JSON. Raises DataError.

    Lengths are in tokens, or in words between spaces for the text task.
    """
    corpus = load(config, task)
    rows = {
        "labelled": [row.example for row in corpus.labelled],
        "pool": corpus.pool,
        "dev": corpus.dev,
        "test": corpus.test,
        "general": [row.example for row in corpus.general],
    }
    return {
        "path": config.path or config.format,
        "task": task.name,
        "licence": _licence(config),
        "counts": corpus.counts,
        "lengths": {name: _lengths(examples) for name, examples in rows.items() if examples},
        "inventory": _inventory(corpus, task),
        "examples": [{"id": e.id, "input": e.source, "target": t} for t, e in _annotated(corpus)[:EXAMPLES]],
        "problems": corpus.problems,
    }


def render(description: dict[str, Any]) -> Group:
    """The page for people: what `describe` returned."""
    head = f"{description['path']} for the task {description['task']}. Licence: {description['licence']}."
    parts: list[Text | Table] = [Text(head), _length_table(description)]
    for kind, names in description["inventory"].items():
        parts.append(Text(f"{len(names)} {kind}: {' '.join(names)}"))
    parts += [Text(f"\n{row['id']}\n  {row['input']}\n  {row['target']}") for row in description["examples"]]
    problems = description["problems"]
    parts.append(Text(f"\n{len(problems)} problems" + (":" if problems else ".")))
    return Group(*parts, *(Text(f"  {problem}") for problem in problems))


def _annotated(corpus: Corpus) -> list[tuple[str, Example]]:
    """Target and input of every row of the corpus itself that has gold."""
    apart = [(corpus.gold["pool"], corpus.pool), (corpus.gold["dev"], corpus.dev), (corpus.gold["test"], corpus.test)]
    found = [(row.target, row.example) for row in corpus.labelled]
    return found + [(gold[e.id], e) for gold, examples in apart for e in examples if e.id in gold]


def _lengths(examples: Iterable[Example]) -> dict[str, float]:
    lengths = [len(example.tokens) or len(example.text.split()) for example in examples]
    return {
        "rows": len(lengths),
        "mean": round(float(np.mean(lengths)), 1),
        "median": float(np.median(lengths)),
        "p95": float(np.percentile(lengths, 95, method="nearest")),
        "max": max(lengths),
    }


def _inventory(corpus: Corpus, task: Task) -> dict[str, list[str]]:
    """The names that targets use, by kind; not the composed tags of taggers, which are hundreds."""
    rows = _annotated(corpus)
    kinds: dict[str, list[str]] = {}
    for name, linearisation in task.linearisations.items():
        if name != "tags":
            kinds |= {kind: list(names) for kind, names in linearisation.inventory(rows).items()}
    return kinds


def _licence(config: CorpusConfig) -> str:
    known = CATALOGUE.get(config.path.removeprefix(DATA_SCHEME)) if config.path.startswith(DATA_SCHEME) else None
    if config.format == "builtin":
        return "that of this package"
    return known.licence if known else "not known"


def _length_table(description: dict[str, Any]) -> Table:
    table = Table("part", "rows", "mean", "median", "p95", "max", title="lengths in tokens")
    for name, lengths in description["lengths"].items():
        table.add_row(name, *(f"{value:,.10g}" for value in lengths.values()))
    return table
