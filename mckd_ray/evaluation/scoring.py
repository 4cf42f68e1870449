"""Corpus scores of a task's answers, with coverage beside them, so that no failure hides in a mean."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mckd_ray.errors import DataError
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.tasks.base import Counts, Task


@dataclass(frozen=True)
class Answer:
    """One input, its gold, and what is scored for it: None where there is no usable answer."""

    example: Example
    gold: str
    predicted: str | None
    outcome: Outcome


@dataclass(frozen=True)
class Evaluation:
    """How good the answers to `count` inputs are.

    `scores`: the task's metrics, in percent. `coverage`: the share (0 to 1) of inputs with a usable answer. `outcomes`:
    how many answers had each outcome. `values`: by id, the task's `per_example` metric (0 to 100), for paired tests.
    """

    scores: dict[str, float]
    count: int
    coverage: float
    outcomes: dict[str, int]
    values: dict[str, float]


def evaluate(task: Task, examples: Sequence[Example], gold: Mapping[str, str], labels: Sequence[Label]) -> Evaluation:
    """Score `labels` on `examples`. Labels of other inputs are left aside.

    Raises DataError if there is nothing to score, an example has no gold or no label row, or an id has two label rows.
    """
    by_id = {label.id: label for label in labels}
    if len(by_id) < len(labels):
        twice, _ = Counter(label.id for label in labels).most_common(1)[0]
        raise DataError(f"'{twice}' has more than one label row: each input has exactly one.")
    for example in examples:
        if example.id not in gold:
            raise DataError(f"'{example.id}' has no gold: only inputs with gold can be evaluated.")
        if example.id not in by_id:
            raise DataError(f"'{example.id}' has no label row: what failed needs a row with the outcome 'failed'.")
    pairs = [(example, by_id[example.id]) for example in examples]
    answers = [
        Answer(example, gold[example.id], label.target if label.outcome.usable else None, label.outcome)
        for example, label in pairs
    ]
    return summarise(task, answers, count_answers(task, answers))


def count_answers(task: Task, answers: Sequence[Answer]) -> list[Counts]:
    """The task's counts of each answer."""
    return [task.counts(answer.gold, answer.predicted, answer.example) for answer in answers]


def add_counts(parts: Sequence[Counts]) -> Counts:
    """The sum of counts, key by key."""
    total: dict[str, float] = {}
    for counts in parts:
        for key, value in counts.items():
            total[key] = total.get(key, 0) + value
    return total


def summarise(task: Task, answers: Sequence[Answer], counts: Sequence[Counts]) -> Evaluation:
    """The evaluation of `answers`, whose counts are `counts`. Raises DataError if there is none."""
    if not answers:
        raise DataError("there is nothing to evaluate: no input has gold.")
    outcomes = Counter(answer.outcome for answer in answers)
    usable = sum(number for outcome, number in outcomes.items() if outcome.usable)
    return Evaluation(
        scores=task.scores(add_counts(counts)),
        count=len(answers),
        coverage=usable / len(answers),
        outcomes={outcome.value: outcomes[outcome] for outcome in Outcome},
        values={answer.example.id: task.example_value(one) for answer, one in zip(answers, counts, strict=True)},
    )
