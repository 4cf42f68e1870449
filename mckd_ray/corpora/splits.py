"""Who gets which row: seeded draws, partitions of the pool and splits by document, all by hash of an id.

A hash decides for each id alone, so that what was decided stays as it is when rows are added.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from mckd_ray.errors import DataError
from mckd_ray.records import Example

Item = TypeVar("Item")


def draw(items: Iterable[Item], count: int | None, key: Callable[[Item], str], salt: str) -> list[Item]:
    """`count` of `items` (all: None) in an order that depends on `salt` and each item's `key` alone.

    A smaller draw is a prefix of a larger one; new items only push in between. There must be `count` items.
    """
    ordered = sorted(items, key=lambda item: _hash(salt, key(item)))
    return ordered if count is None else ordered[:count]


def partition(example_id: str, partitions: int) -> int:
    """The partition, from 0 to `partitions` - 1, of the pool's example `example_id`, whatever else is in the pool."""
    return _hash("partition", example_id) % partitions


def partitioned(pool: Sequence[Example], partitions: int) -> list[list[Example]]:
    """The disjoint partitions of `pool`, in order. Raises DataError if one of them would be empty."""
    if len(pool) < partitions:
        raise DataError(
            f"The pool has {len(pool)} examples, fewer than plan.partitions: {partitions}. "
            "Use a larger pool or fewer partitions."
        )
    parts: list[list[Example]] = [[] for _ in range(partitions)]
    for example in pool:
        parts[partition(example.id, partitions)].append(example)
    if empty := [index for index, part in enumerate(parts) if not part]:
        raise DataError(
            f"Partition {empty[0]} of {partitions} gets none of the pool's {len(pool)} examples. "
            "Use a larger pool or fewer partitions."
        )
    return parts


def split_of_document(document: str) -> str:
    """The split (train, dev or test: 80, 10, 10 in a hundred) of a document in a source that has no splits."""
    hundredth = _hash("document", document) % 100
    return "train" if hundredth < 80 else "dev" if hundredth < 90 else "test"


def _hash(salt: str, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{salt}\0{text}".encode()).digest()[:8], "big")
