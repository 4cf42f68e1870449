"""Where the scores come from: by the teacher's own score, by length, by confidence; always input by input."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mckd_ray.records import Example, Label

DECILES = 10
LENGTHS = 5
CONFIDENCES = 10


@dataclass(frozen=True)
class GainBin:
    """A tenth of the inputs, by the teacher's own score: what a student gains there, with a 95% interval ± `error`."""

    teacher: float
    """The teacher's mean score in this bin."""
    gain: float
    error: float
    count: int


@dataclass(frozen=True)
class LengthBin:
    """Inputs of `shortest` to `longest` tokens (words of a text): the mean of one input's score."""

    shortest: int
    longest: int
    mean: float
    count: int


@dataclass(frozen=True)
class ConfidenceBin:
    """Inputs of like confidence: the mean confidence (a probability) and the mean score, both 0 to 1."""

    confidence: float
    score: float
    count: int


def gain_by_teacher(teacher: Mapping[str, float], student: Mapping[str, float]) -> list[GainBin]:
    """The student's gain over the teacher, in tenths of the inputs from those where the teacher is worst.

    Equal scores are ordered by id, so a score that is frequent may fill several bins.
    """
    ids = sorted(teacher, key=lambda name: (teacher[name], name))
    bins = [part for part in np.array_split(np.asarray(ids), min(DECILES, len(ids))) if len(part)] if ids else []
    found = []
    for part in bins:
        before = np.asarray([teacher[name] for name in part])
        gains = np.asarray([student[name] for name in part]) - before
        error = 1.96 * float(gains.std()) / math.sqrt(len(gains))
        found.append(GainBin(float(before.mean()), float(gains.mean()), error, len(part)))
    return found


def score_by_length(examples: Mapping[str, Example], values: Mapping[str, float]) -> list[LengthBin]:
    """The mean score of inputs in at most five groups of like length and, as far as that goes, like size."""
    lengths = {name: len(examples[name].tokens) or len(examples[name].text.split()) for name in values}
    if not lengths:
        return []
    edges = np.unique(np.quantile(list(lengths.values()), np.linspace(0, 1, LENGTHS + 1)[1:], method="inverted_cdf"))
    groups: dict[int, list[str]] = {}
    for name, length in lengths.items():
        groups.setdefault(int(np.searchsorted(edges, length)), []).append(name)
    return [
        LengthBin(
            min(lengths[name] for name in names),
            max(lengths[name] for name in names),
            float(np.mean([values[name] for name in names])),
            len(names),
        )
        for _, names in sorted(groups.items())
    ]


def reliability(tables: Sequence[Mapping[str, Label]], values: Sequence[Mapping[str, float]]) -> list[ConfidenceBin]:
    """Tenths of the usable answers of all seeds by confidence: what the model expects, and what its answers score.

    Confidence is a mean log-probability, so its exponential is the (geometric) mean probability of a token. Answers
    without one are left out; empty if there is none.
    """
    pairs = sorted(
        (math.exp(min(0.0, label.confidence)), scores[name] / 100)
        for table, scores in zip(tables, values, strict=True)
        for name, label in table.items()
        if name in scores and label.outcome.usable and not math.isnan(label.confidence)
    )
    if not pairs:
        return []
    return [
        ConfidenceBin(float(part[:, 0].mean()), float(part[:, 1].mean()), len(part))
        for part in np.array_split(np.asarray(pairs), min(CONFIDENCES, len(pairs)))
    ]


def calibration_error(bins: Sequence[ConfidenceBin]) -> float:
    """The expected calibration error, 0 to 1: the mean distance of confidence and score, weighted by size."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.confidence - one.score) for one in bins) / total if total else 0.0
