"""A tagger's training rows as arrays, and its batches."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mckd_ray.records import TrainingRow
from mckd_ray.student.readers import Ids, Reader
from mckd_ray.tasks.base import Factor, TagScheme

IGNORED = -100
Vocabularies = Mapping[str, tuple[str, ...]]
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class TagRow:
    """One row: `ids` and `first` of the reader; `tags` (T, token factors) and `whole` (sentence factors), or empty."""

    ids: Ids
    first: Ids
    tags: Ids
    whole: Ids
    weight: float


def tag_vocabularies(
    scheme: TagScheme, rows: Sequence[TrainingRow], known: Vocabularies
) -> tuple[Vocabularies, list[dict[str, tuple[str, ...]]]]:
    """The values of each factor, those `known` first and then new ones in sorted order; and each row's values."""
    split = [scheme.split(row.target, row.example) for row in rows]
    vocabularies = {}
    for factor in scheme.factors:
        old = known.get(factor.name, ())
        seen = {value for values in split for value in values[factor.name]}
        vocabularies[factor.name] = (*old, *sorted(seen.difference(old)))
    return vocabularies, split


def tag_rows(
    reader: Reader,
    factors: Sequence[Factor],
    vocabularies: Vocabularies,
    rows: Sequence[TrainingRow],
    split: Sequence[Mapping[str, Sequence[str]]],
) -> list[TagRow]:
    """Each row as arrays; `split` are its values."""
    index = {name: {value: place for place, value in enumerate(values)} for name, values in vocabularies.items()}
    encoded = []
    for row, values in zip(rows, split, strict=True):
        tags = [[index[f.name][value] for value in values[f.name]] for f in factors if f.scope == "token"]
        whole = [index[f.name][values[f.name][0]] for f in factors if f.scope == "sentence"]
        encoded.append(TagRow(*reader.read(row.tokens), np.array(tags).T, np.array(whole, np.int64), row.weight))
    return encoded


def collate(rows: Iterable[TagRow], pad: int) -> Batch:
    """A batch padded to its longest row, for `TaggerTrainer`."""
    rows = list(rows)
    batch = {
        "input_ids": _stack([row.ids for row in rows], pad),
        "attention_mask": _stack([np.ones(len(row.ids), np.int64) for row in rows], 0),
        "first": _stack([row.first for row in rows], 0),
        "words": _stack([np.ones(len(row.first), np.int64) for row in rows], 0),
    }
    batch["tags"] = _stack([row.tags for row in rows], IGNORED)
    batch["whole"] = torch.from_numpy(np.stack([row.whole for row in rows]))
    batch["weight"] = torch.tensor([row.weight for row in rows], dtype=torch.float32)
    return batch


def _stack(arrays: Sequence[Ids], value: int) -> Tensor:
    shape: Any = (len(arrays), max(len(array) for array in arrays), *arrays[0].shape[1:])
    stacked = np.full(shape, value, np.int64)
    for row, array in zip(stacked, arrays, strict=True):
        row[: len(array)] = array
    return torch.from_numpy(stacked)
