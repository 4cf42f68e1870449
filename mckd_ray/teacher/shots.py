"""Which labelled examples a teacher sees: chosen from the labelled budget, and from nothing else."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from mckd_ray.errors import ConfigError
from mckd_ray.records import Example, TrainingRow
from mckd_ray.tasks.base import Task
from mckd_ray.tasks.prompts import LINEARISATIONS

Selection = Literal["random", "similar", "diverse"]
WORD = r"\w+|[^\w\s]"
"""What counts as a word where inputs are compared, in lower case: each punctuation mark is one too."""
BLOCK = 1024
"""How many inputs are compared with the whole budget at once."""


def draw_shots(labelled: Sequence[TrainingRow], count: int, seed: int) -> list[TrainingRow]:
    """`count` rows of the labelled budget, in drawn order. The same set and seed, in any order, give the same shots.

    Raises ConfigError if the budget is smaller than `count`.
    """
    _check(labelled, count)
    return random.Random(f"shots:{seed}").sample(sorted(labelled, key=lambda row: row.id), count)


def choose_shots(
    selection: Selection, labelled: Sequence[TrainingRow], count: int, seed: int, inputs: Sequence[Example], task: Task
) -> list[tuple[int, ...]]:
    """For each input, the places in `labelled` of the `count` examples to show it with, the most important one first.

    What an input gets depends on it, the set of labelled rows, `count` and `seed` alone: not on other inputs, nor on
    any order. An input that is of the budget itself sees neither its own row nor one of the same text, so maybe fewer
    than `count`; any other input may see a row of its own text. Raises ConfigError if the budget is smaller than
    `count`.
    """
    _check(labelled, count)
    if not count:
        return [()] * len(inputs)
    own = _own(labelled)
    if selection == "similar":
        return _similar(labelled, count, inputs, own)
    rows = draw_shots(labelled, count, seed) if selection == "random" else _diverse(labelled, count, seed, task)
    places = {row.id: place for place, row in enumerate(labelled)}
    shots = tuple(places[row.id] for row in rows)
    return [tuple(place for place in shots if place not in own[one.id]) if one.id in own else shots for one in inputs]


def _check(labelled: Sequence[TrainingRow], count: int) -> None:
    if count > len(labelled):
        raise ConfigError(
            f"teacher.shots: {count} shots are more than the labelled budget of {len(labelled)} rows;"
            " lower teacher.shots or raise corpus.labelled."
        )


def _own(labelled: Sequence[TrainingRow]) -> dict[str, list[int]]:
    """For the id of each labelled row, the places of the rows with its text, which would give its answer away."""
    same: defaultdict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(labelled):
        same[row.example.source].append(place)
    return {row.id: same[row.example.source] for row in labelled}


def _similar(
    labelled: Sequence[TrainingRow], count: int, inputs: Sequence[Example], own: Mapping[str, Sequence[int]]
) -> list[tuple[int, ...]]:
    """The nearest, by how many telling words they share; ties go by id."""
    by_id = np.array(sorted(range(len(labelled)), key=lambda place: labelled[place].id))
    chosen: list[tuple[int, ...]] = []
    for one, similarities in zip(inputs, _similarities(labelled, inputs), strict=True):
        left_out = list(own.get(one.id, ()))
        similarities[left_out] = -1
        ranking = by_id[np.argsort(-similarities[by_id], kind="stable")]
        chosen.append(tuple(ranking[: min(count, len(labelled) - len(left_out))].tolist()))
    return chosen


def _similarities(labelled: Sequence[TrainingRow], inputs: Sequence[Example]) -> Iterator[npt.NDArray[np.float64]]:
    """For each input, the cosine of its TF-IDF with that of each labelled row; how rare a word is, the rows say."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # slow to import

    vectorizer = TfidfVectorizer(token_pattern=WORD, lowercase=True)
    budget = vectorizer.fit_transform([row.example.source for row in labelled])
    for start in range(0, len(inputs), BLOCK):
        block = vectorizer.transform([one.source for one in inputs[start : start + BLOCK]])
        # Without the last digits, in which sums of the same numbers in another order differ.
        yield from (block @ budget.T).toarray().round(9)


def _diverse(labelled: Sequence[TrainingRow], count: int, seed: int, task: Task) -> list[TrainingRow]:
    """Again and again the row with most names that were not there yet; of those, one of the length that is rarest yet.

    The seed decides among equals.
    """
    left = draw_shots(labelled, len(labelled), seed)
    names, lengths = {row.id: _names(row, task) for row in left}, _quantiles(left, count)
    covered: set[tuple[str, str]] = set()
    shown: Counter[int] = Counter()
    chosen: list[TrainingRow] = []
    while len(chosen) < count:
        row = max(left, key=lambda row: (len(names[row.id] - covered), -shown[lengths[row.id]]))
        left.remove(row)
        chosen.append(row)
        covered |= names[row.id]
        shown[lengths[row.id]] += 1
    return chosen


def _names(row: TrainingRow, task: Task) -> set[tuple[str, str]]:
    """The names (labels, slots, intents) in a row's gold, each with its kind; a task may have none."""
    inventory = task.linearisations[LINEARISATIONS[task.name]].inventory([(row.target, row.example)])
    return {(kind, name) for kind, values in inventory.items() for name in values}


def _quantiles(rows: Sequence[TrainingRow], count: int) -> dict[str, int]:
    """Which of `count` parts of the rows, as equal as can be, from shortest to longest, each id is in."""
    order = sorted(rows, key=lambda row: (len(row.example.source.split()), row.id))
    return {row.id: rank * count // len(order) for rank, row in enumerate(order)}
