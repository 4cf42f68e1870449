"""Which inputs of the pool are worth a person's minute."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from mckd_ray.corpora.splits import draw
from mckd_ray.errors import DataError
from mckd_ray.records import Example, Label, TrainingRow, read_rows
from mckd_ray.report.analysis.run import Run, sample
from mckd_ray.tasks.base import Task

MOST_LOOKED_AT = 20_000
"""Of a larger pool, a sample of this size is looked at."""


@dataclass(frozen=True)
class Candidate:
    """An input to review. `suggestion`: the latest label, empty where that is not usable; `why`: for the reviewer."""

    example: Example
    suggestion: str
    why: str


@dataclass(frozen=True)
class Selection:
    """What is to be reviewed, and the targets that tell which names (labels, slots, intents) there are."""

    task: Task
    candidates: tuple[Candidate, ...]
    targets: tuple[str, ...]
    looked_at: int
    pool: int


@dataclass(frozen=True)
class Voted:
    """An input and what each label table says of it, the latest last."""

    example: Example
    labels: tuple[Label, ...]


def select(run: Run, by: str, count: int) -> Selection:
    """`count` inputs of the pool of `run`, or as many as there are, those most worth a look first.

    `by` is a key of `SELECTIONS`. Raises DataError if the run has not what that needs.
    """
    tables = _tables(run)
    if not tables:
        raise DataError(f"{run.name}: the pool has no labels yet; run it first.")
    examples = run.examples("pool")
    ids = sample(list(examples), MOST_LOOKED_AT)
    voted = [Voted(examples[name], tuple(table[name] for table in tables)) for name in ids]
    ranked = SELECTIONS[by](run.task, voted)[:count]
    candidates = [Candidate(one.example, _suggestion(one.labels[-1]), why) for one, why in ranked]
    targets = dict.fromkeys(chain(_budget(run), (one.suggestion for one in candidates if one.suggestion)))
    return Selection(run.task, tuple(candidates), tuple(targets), len(ids), len(examples))


def _tables(run: Run) -> list[dict[str, Label]]:
    """The pool's label tables that there are: of the teacher and of all stages and seeds, as the plan has them."""
    keys = [run.by_key[key].inputs["labels"] for key in run.quality.values()]
    return [run.labels(key) for key in dict.fromkeys(keys) if key in run.records]


def _budget(run: Run) -> list[str]:
    """The targets of the labelled budget."""
    (corpus,) = (step.key for step in run.steps if step.kind == "corpus")
    return [row.target for row in read_rows((run.store.place(corpus) / "labelled.parquet").here(), TrainingRow)]


def _suggestion(label: Label) -> str:
    return label.target if label.outcome.usable else ""


def disagreement(task: Task, example: Example, labels: Sequence[Label]) -> float:
    """100 less the mean score of one label against another, over all pairs. An unusable label agrees with none."""
    targets = [label.target for label in labels if label.outcome.usable]
    pairs = len(labels) * (len(labels) - 1)
    return 100.0 * (1 - sum(task.agreement(targets, example)) / pairs)


def _by_disagreement(task: Task, voted: Sequence[Voted]) -> list[tuple[Voted, str]]:
    """Where the teacher and the stages disagree most."""
    if len(voted[0].labels) < 2:
        raise DataError(
            "only one table of labels is there, with which nothing can disagree; select uncertain or random, "
            "or run a plan with stages."
        )
    scored = [(disagreement(task, one.example, one.labels), one) for one in voted]
    return [(one, f"disagreement {value:.0f}%") for value, one in sorted(scored, key=lambda pair: -pair[0])]


def _by_confidence(_: Task, voted: Sequence[Voted]) -> list[tuple[Voted, str]]:
    """Those without a usable label, then those of which the latest labeller was least sure."""
    if all(math.isnan(one.labels[-1].confidence) for one in voted):
        raise DataError("the latest labels have no confidence; select disagreement or random.")
    return [(one, _sureness(one.labels[-1])) for one in sorted(voted, key=lambda one: _confidence(one.labels[-1]))]


def _confidence(label: Label) -> float:
    if not label.outcome.usable:
        return -math.inf
    return 0.0 if math.isnan(label.confidence) else label.confidence


def _sureness(label: Label) -> str:
    return (
        f"confidence {math.exp(label.confidence):.2f}" if label.outcome.usable else f"no usable label: {label.reason}"
    )


def _by_chance(_: Task, voted: Sequence[Voted]) -> list[tuple[Voted, str]]:
    return [(one, "drawn at random") for one in draw(voted, None, lambda one: one.example.id, "review")]


SELECTIONS: dict[str, Callable[[Task, Sequence[Voted]], list[tuple[Voted, str]]]] = {
    "disagreement": _by_disagreement,
    "uncertain": _by_confidence,
    "random": _by_chance,
}
