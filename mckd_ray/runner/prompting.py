"""Labelling by a prompted teacher: from inputs to prompts, to answers (known ones first), to labels."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mckd_ray.config import PriceConfig
from mckd_ray.plan.identity import digest_of
from mckd_ray.records import Answer, Example, Label, Outcome
from mckd_ray.runner.asking import PromptedTeacher, Replicas
from mckd_ray.runner.progress import ProgressWriter
from mckd_ray.tasks import TASKS
from mckd_ray.teacher.answers import AnswerBook, prompt_key
from mckd_ray.teacher.engine import Request
from mckd_ray.teacher.reading import label_of
from mckd_ray.teacher.shots import choose_shots

TOKENS = ("tokens_in", "tokens_out", "tokens_cached")


def ask(teacher: PromptedTeacher, examples: Sequence[Example], book: AnswerBook, progress: ProgressWriter) -> "Asking":
    """Ask `teacher` for all of `examples` that are not in the book, writing each answer into it as it comes.

    No engine is started if there is nothing to ask.
    """
    asking = Asking(teacher, examples)
    with book.held():
        asking.read(book.find({request.key for request in asking.requests}).values())
        left = asking.left
        if left:
            replicas = Replicas(teacher)
            try:
                for answers in replicas.ask(left):
                    book.add(answers)
                    asking.told(answers, replicas)
                    progress.update(asking.done, asking.note)
            finally:
                book.flush()
                replicas.close()
    return asking


class Questions:
    """What a teacher is asked: its prompts, and a request for each input."""

    def __init__(self, teacher: PromptedTeacher) -> None:
        """Reads the labelled budget, and whatever else the prompts are made from."""
        self.prompts = teacher.prompts()
        self._teacher, self._labelled = teacher, teacher.rows()
        constrain = teacher.config.constrain
        self._constraint = "" if constrain == "none" else f"{constrain}:{digest_of(self.prompts.inventory)}"

    def of(self, examples: Sequence[Example]) -> list[Request]:
        """One request for each input; inputs with the same prompt share a key."""
        config, task = self._teacher.config, TASKS[self._teacher.task]
        shots = choose_shots(config.shot_selection, self._labelled, config.shots, config.seed, examples, task)
        return [
            Request(prompt_key(self.prompts.text(example, shown), self._constraint), example, shown)
            for example, shown in zip(examples, shots, strict=True)
        ]


class Asking:
    """Inputs on the way to their labels."""

    def __init__(self, teacher: PromptedTeacher, examples: Sequence[Example]) -> None:
        """Nothing is answered yet."""
        self.questions = Questions(teacher)
        self.requests = self.questions.of(examples)
        """One for each input."""
        self._task, self._price = TASKS[teacher.task], teacher.resources.price
        self._examples = examples
        self._places: dict[str, list[int]] = {}
        for place, request in enumerate(self.requests):
            self._places.setdefault(request.key, []).append(place)
        self._labels: dict[int, Label] = {}
        self._answers: dict[str, Answer] = {}
        self._fresh: list[Answer] = []
        # Kept as answers come: what is shown many times must not look at all rows each time.
        self._outcomes, self._tokens_out = outcome_counts(()), 0
        self._engine, self._restarts = "", 0
        self._started = self._told = time.monotonic()

    def read(self, answers: Iterable[Answer]) -> None:
        """Take in answers that are there already."""
        linearisation = self.questions.prompts.linearisation
        for answer in answers:
            self._answers[answer.key] = answer
            for place in self._places[answer.key]:
                label = self._labels[place] = label_of(self._examples[place], answer, linearisation, self._task)
                self._outcomes[label.outcome.value] += 1

    def told(self, answers: Sequence[Answer], replicas: Replicas) -> None:
        """Take in answers that have just come."""
        self.read(answers)
        if not self._fresh:
            self._started = replicas.started
        self._fresh += answers
        self._tokens_out += sum(answer.tokens_out for answer in answers)
        self._engine, self._restarts = replicas.engine, replicas.restarts
        self._told = time.monotonic()

    @property
    def left(self) -> list[Request]:
        """The requests that have no answer yet, each once."""
        return [self.requests[places[0]] for key, places in self._places.items() if key not in self._answers]

    @property
    def done(self) -> int:
        """How many inputs have a label."""
        return len(self._labels)

    @property
    def note(self) -> str:
        """How it goes, for people."""
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in self._outcomes.items() if count)
        return f"{outcomes}; {self._speed:.0f} tokens/s" if self._speed else outcomes

    @property
    def labels(self) -> list[Label]:
        """One label for each input, in order."""
        return [self._labels[place] for place in range(len(self._examples))]

    @property
    def answers(self) -> list[Answer]:
        """The answer that each label was read from, in order."""
        return [self._answers[request.key] for request in self.requests]

    @property
    def facts(self) -> dict[str, Any]:
        """What was asked this time, by which engine, and what that cost; `all_rows`: also what was known before."""
        shots = [answer.shots for answer in self._answers.values() if answer.answered]
        return {
            "unanswered": sum(answer.again for answer in self._answers.values()),
            "teacher": {
                "engine": self._engine,
                "restarts": self._restarts,
                "asked": len(self._fresh),
                "known": len(self._answers) - len(self._fresh),
                "seconds": self._told - self._started,
                "tokens_out_per_second": self._speed,
                "fewest_shots": min(shots, default=0),
                **self._cost(self._fresh),
                "all_rows": self._cost(self._answers.values()),
            },
        }

    def estimate(self, rows: int) -> dict[str, float | None]:
        """What asking for `rows` more will cost, from the mean of those that are answered; seconds at this speed."""
        answered = [answer for answer in self._answers.values() if answer.answered]
        if not answered:
            return {"rows": rows}
        more = {name: rows * sum(values) / len(answered) for name, values in _columns(answered).items()}
        seconds = rows * (self._told - self._started) / len(self._fresh) if self._fresh else None
        price = None if self._price is None else money(more, self._price)
        return {"rows": rows, **more, "seconds": seconds, "money": price}

    @property
    def _speed(self) -> float:
        seconds = self._told - self._started
        return self._tokens_out / seconds if seconds > 0 else 0.0

    def _cost(self, answers: Iterable[Answer]) -> dict[str, float | None]:
        tokens = {name: sum(values) for name, values in _columns(answers).items()}
        return {**tokens, "money": None if self._price is None else money(tokens, self._price)}


def _columns(answers: Iterable[Answer]) -> dict[str, list[int]]:
    rows = list(answers)
    return {name: [getattr(answer, name) for answer in rows] for name in TOKENS}


def outcome_counts(labels: Iterable[Label]) -> dict[str, int]:
    """How many labels have each outcome."""
    counts = {outcome.value: 0 for outcome in Outcome}
    for label in labels:
        counts[label.outcome.value] += 1
    return counts


def money(tokens: Mapping[str, float], price: PriceConfig) -> float:
    """What so many tokens cost."""
    cached = price.input if price.cached is None else price.cached
    fresh = tokens["tokens_in"] - tokens["tokens_cached"]
    return (fresh * price.input + tokens["tokens_cached"] * cached + tokens["tokens_out"] * price.output) / 1e6
