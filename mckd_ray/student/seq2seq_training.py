"""What a sequence-to-sequence student trains on, and its trainer: row weights are loss weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from mckd_ray.student.spans import mask_spans
from mckd_ray.student.trainer import StudentTrainer
from mckd_ray.tasks.base import Inventory

IGNORED = -100
"""The label of a position that is not trained on."""


@dataclass(frozen=True)
class Item:
    """A source and its target, in pieces; `weight` is how many times it counts."""

    source: Sequence[int]
    target: Sequence[int]
    weight: float


class Supervised(torch.utils.data.Dataset[Item]):
    """Items in the order of training."""

    def __init__(self, items: Sequence[Item], order: Sequence[int]) -> None:
        """`order`: the index of the item at each position."""
        self._items, self._order = items, order

    def __len__(self) -> int:
        """Positions, not items."""
        return len(self._order)

    @property
    def lengths(self) -> list[tuple[int, int]]:
        """The pieces of source and target at each position."""
        sizes = [(len(item.source), len(item.target)) for item in self._items]
        return [sizes[index] for index in self._order]

    def __getitem__(self, position: int) -> Item:
        """The item at a position."""
        return self._items[self._order[position]]


class Masked(torch.utils.data.Dataset[Item]):
    """Raw text with masked spans, other ones each time that a text comes up."""

    def __init__(
        self, texts: Sequence[Item], order: Sequence[int], share: float, sentinels: Sequence[int], seed: int
    ) -> None:
        """`texts`: items whose sources end in the end piece. `share` of the pieces are masked."""
        self._texts, self._order = texts, order
        self._share, self._sentinels, self._seed = share, sentinels, seed

    def __len__(self) -> int:
        """Positions, not texts."""
        return len(self._order)

    @property
    def lengths(self) -> list[tuple[int]]:
        """The pieces at each position, before masking."""
        return [(len(self._texts[index].source),) for index in self._order]

    def __getitem__(self, position: int) -> Item:
        """The masked text at a position: the same whenever it is asked for, so that a resumed run sees it again."""
        text = self._texts[self._order[position]]
        random = np.random.default_rng((self._seed, position))
        *ids, end = text.source
        return Item(*mask_spans(ids, self._share, self._sentinels, end, random), text.weight)


class Collator:
    """Items to one batch of tensors."""

    def __init__(self, start: int, pad: int) -> None:
        """`start`: the piece that comes before each target."""
        self._start, self._pad = start, pad

    def __call__(self, items: Sequence[Item]) -> dict[str, torch.Tensor]:
        """`input_ids`, `attention_mask` (B, S); `labels`, `decoder_input_ids` (B, T); `weights` (B,)."""
        inputs = _padded([item.source for item in items], self._pad)
        lengths = torch.tensor([len(item.source) for item in items])
        labels = _padded([item.target for item in items], IGNORED)
        return {
            "input_ids": inputs,
            "attention_mask": (torch.arange(inputs.shape[1]) < lengths[:, None]).long(),
            "labels": labels,
            "decoder_input_ids": _padded([[self._start, *item.target[:-1]] for item in items], self._pad),
            "weights": torch.tensor([item.weight for item in items]),
        }


def _padded(rows: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
    tensor = torch.full((len(rows), max(map(len, rows))), pad)
    for index, row in enumerate(rows):
        tensor[index, : len(row)] = torch.tensor(row)
    return tensor


class WeightedTrainer(StudentTrainer):
    """Transformers' trainer, with a weight for each row, and what the student's card will say."""

    inventory: Inventory

    def __init__(self, inventory: Inventory, **settings: Any) -> None:
        """`inventory`: the names in the targets it trains on; `settings`: those of StudentTrainer."""
        super().__init__(**settings)
        self.inventory = inventory
        # So the trainer counts the target pieces of the whole batch, over all workers and accumulated parts.
        self.model_accepts_loss_kwargs = True

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Cross-entropy, each piece's times its row's weight, over the number of pieces in the whole batch."""
        labels, weights = inputs.pop("labels"), inputs.pop("weights")
        outputs = model(**inputs)
        # Flat: with the vocabulary in the middle, it takes three times as long on a CPU.
        flat = functional.cross_entropy(
            outputs.logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none"
        )
        losses = flat.view(labels.shape)
        pieces = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        # The workers' gradients are averaged, but each worker's loss is already its share of the whole batch.
        workers = self.accelerator.num_processes if num_items_in_batch is not None else 1
        loss = (losses.sum(1) * weights).sum() / pieces * workers
        return (loss, outputs) if return_outputs else loss
