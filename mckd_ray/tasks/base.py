"""What a task is: its canonical annotation, its linearisations, its tags and its scores.

A new task is one subclass of `Task` and one entry in `mckd_ray.tasks.TASKS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from mckd_ray.records import Example

Counts = Mapping[str, float]
Inventory = Mapping[str, tuple[str, ...]]
Scores = npt.NDArray[np.float32]


class LegalSymbols(ABC):
    """The language of one input's linearisations, as an automaton over symbols (pieces between single spaces).

    From every state that is reached by allowed symbols, some sequence of at most `limit` symbols in all is complete.
    """

    start: Hashable

    @property
    def language(self) -> Hashable:
        """Equal for inputs whose languages are the same state by state, with the same linearisation and inventory.

        What is known of one language is then known of the other. Each is its own unless it says otherwise.
        """
        return self

    @abstractmethod
    def allowed(self, state: Hashable) -> tuple[str, ...]:
        """The symbols that may come next; empty exactly when the string is complete and nothing may follow."""

    @abstractmethod
    def complete(self, state: Hashable) -> bool:
        """Whether the string may end here."""

    @abstractmethod
    def advance(self, state: Hashable, symbol: str) -> Hashable:
        """The state after `symbol`, which is one of `allowed(state)`."""


class Linearisation(ABC):
    """A way to write an annotation as one string, for sequence-to-sequence students and for prompts."""

    name: ClassVar[str]

    @abstractmethod
    def linearise(self, target: str, example: Example) -> str:
        """The string that stands for the canonical `target` of `example`."""

    @abstractmethod
    def parse(self, text: str, example: Example) -> str:
        """The canonical target that `text` stands for. Raises LinearisationError, with the reason, for any other."""

    def read(self, text: str, example: Example) -> str:
        """What `text` says, to be scored: as `parse`, but other words pass where a scorer takes them."""
        return self.parse(text, example)

    @abstractmethod
    def repair(self, text: str, example: Example) -> str:
        """A valid canonical target over exactly the input's tokens, near to what `text` says. Never raises."""

    def inventory(self, rows: Iterable[tuple[str, Example]]) -> Inventory:
        """The names (labels, slots, intents ...) that the targets use, sorted, by kind; for `legal`."""
        return {}

    def legal(self, example: Example, inventory: Inventory) -> LegalSymbols | None:
        """Which symbols may come next while this input's linearisation is written; None where any text is legal."""
        return None


@dataclass(frozen=True)
class Factor:
    """One part of a tag: it has one value for each token, or one for the whole sentence."""

    name: str
    scope: Literal["token", "sentence"]


@dataclass(frozen=True)
class TagSequence:
    """What `TagScheme.best` found: `values[factor]` are indices into its vocabulary (one, for a sentence factor)."""

    values: Mapping[str, tuple[int, ...]]
    confidence: float


class TagScheme(ABC):
    """A linearisation with one tag a token, seen as factors, so that a model can write all tags at once."""

    factors: ClassVar[tuple[Factor, ...]]

    @abstractmethod
    def split(self, target: str, example: Example) -> dict[str, tuple[str, ...]]:
        """The values of each factor, in token order, that stand for the canonical `target`."""

    @abstractmethod
    def join(self, values: Mapping[str, Sequence[str]], example: Example) -> str:
        """The canonical target that `values` stand for: undoes `split`, and is valid for any legal values."""

    @abstractmethod
    def best(
        self, scores: Mapping[str, Scores], vocabularies: Mapping[str, Sequence[str]], lengths: Sequence[int]
    ) -> list[TagSequence]:
        """The legal tag sequence of highest total score for each of B inputs.

        `scores[f]` are log-probabilities: (B, T, V_f) for a token factor (T >= max length), (B, V_f) for a sentence
        factor. The confidence is the mean over all chosen values of their log-probability.
        """


Pairs = Mapping[tuple[str, str], int]
"""How often each pair of a name in gold and a name in the answer stands for the same part of an input."""
NOTHING = "–"
"""The name in a pair where one of the two has no such part."""


@dataclass(frozen=True)
class Errors:
    """What is wrong with an answer. `kinds`: how many errors there are of each kind; all kinds of a task, always.

    `confusion`: by what is named (labels, slots, intents), which name stands where gold has which; right ones too.
    """

    kinds: Mapping[str, int]
    confusion: Mapping[str, Pairs]


class Task(ABC):
    """A sequence generation task. A target is always the task's canonical string of an annotation."""

    name: ClassVar[str]
    summary: ClassVar[str]
    """What it is, in a few words, for a model card."""
    hub_task: ClassVar[str] = "token-classification"
    """What the Hugging Face Hub calls such a task."""
    linearisations: ClassVar[Mapping[str, Linearisation]]
    tags: ClassVar[TagScheme | None]
    metrics: ClassVar[tuple[str, ...]]
    primary: ClassVar[str]
    """The metric that ranks systems; one of `metrics`. All metrics are percentages; more is better."""
    per_example: ClassVar[str]
    """The metric that `example_value` gives, for paired tests; usually `primary`."""

    @abstractmethod
    def read(self, row: Mapping[str, Any]) -> tuple[Example, str | None]:
        """The input and canonical gold (None where the row has no annotation) of a row in the corpus's own JSON format.

        Raises DataError with a reason (without file and line, which the caller adds) for a malformed row.
        """

    @abstractmethod
    def write(self, example: Example, target: str) -> dict[str, Any]:
        """The row that `read` reads back as (`example`, `target`)."""

    @abstractmethod
    def check(self, target: str, example: Example) -> str:
        """`target` in canonical form; raises DataError if it is not an annotation of exactly these tokens."""

    @abstractmethod
    def counts(self, gold: str, predicted: str | None, example: Example) -> Counts:
        """What one input adds to the scores; counts add up. `predicted` is None where there is no usable answer."""

    @abstractmethod
    def scores(self, total: Counts) -> dict[str, float]:
        """Each of `metrics`, in percent, from the sum of the counts of all inputs."""

    @abstractmethod
    def example_value(self, counts: Counts) -> float:
        """The value of `per_example` (0 to 100) of one input, for paired tests."""

    def breakdown(self, total: Counts) -> dict[str, dict[str, float]]:
        """Scores of parts of the annotation, such as each slot, from the same sum; empty where the task has none."""
        return {}

    def errors(self, gold: str, predicted: str | None, example: Example) -> Errors:
        """The errors of one answer by kind. `predicted` is None where there is no usable answer.

        Here, where a task does not say what its parts are: there is none, or it differs.
        """
        differs = predicted is not None and predicted != gold
        return Errors({"no answer": int(predicted is None), "differs": int(differs)}, {})

    def agreement(self, candidates: Sequence[str], example: Example) -> list[float]:
        """For each candidate, how many of the others agree with it: the sum of its scores (0 to 1) against them."""
        return [
            sum(
                self.example_value(self.counts(other, one, example)) / 100
                for place, other in enumerate(candidates)
                if place != index
            )
            for index, one in enumerate(candidates)
        ]

    def consensus(self, candidates: Sequence[str], example: Example) -> int:
        """The index of the candidate that agrees best with the others under the task's own score.

        Minimum Bayes risk; ties go to the first, so order candidates by confidence.
        """
        agreement = self.agreement(candidates, example)
        return max(range(len(candidates)), key=lambda index: agreement[index])

    def combined(self, candidates: Sequence[str], example: Example) -> str:
        """One target from what most of the candidates hold, part by part; ties go to the first.

        Here, where a task does not say what its parts are, their consensus.
        """
        return candidates[self.consensus(candidates, example)]
