"""Span corruption: the objective that T5 was pretrained on (Raffel et al., JMLR 2020, section 3.1.4)."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

MEAN_SPAN = 3
"""Mean length of a masked span, in pieces."""


def mask_spans(
    ids: Sequence[int], share: float, sentinels: Sequence[int], end: int, random: np.random.Generator
) -> tuple[list[int], list[int]]:
    """(source, target): `share` of the pieces `ids` masked in spans, each of which one sentinel stands for.

    The target is each sentinel followed by what it hides, and one more sentinel; both end in `end`.
    """
    masked = min(max(1, round(len(ids) * share)), len(ids))
    kept = len(ids) - masked
    spans = max(1, min(round(masked / MEAN_SPAN), len(sentinels) - 1, kept or 1))
    hidden, shown = _shares(masked, spans, random), _shares(kept, spans, random)
    source: list[int] = []
    target: list[int] = []
    at = 0
    for sentinel, show, hide in zip(sentinels, shown, hidden, strict=False):
        source += [*ids[at : at + show], sentinel]
        target += [sentinel, *ids[at + show : at + show + hide]]
        at += show + hide
    return [*source, end], [*target, sentinels[spans], end]


def _shares(total: int, parts: int, random: np.random.Generator) -> list[int]:
    """`total` in `parts` random positive numbers (zeros where there are too few)."""
    if total < parts:
        return [total] + [0] * (parts - 1)
    cuts = (
        np.sort(random.choice(np.arange(1, total), size=parts - 1, replace=False)) if parts > 1 else np.array([], int)
    )
    edges = [0, *(int(cut) for cut in cuts), total]
    return [b - a for a, b in pairwise(edges)]
