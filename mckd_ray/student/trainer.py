"""Transformers' trainer as all kinds of student use it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import transformers


class StudentTrainer(transformers.Trainer):
    """A trainer that says nothing of its own, and knows how much of its batches is padding."""

    def __init__(self, lengths: Sequence[Sequence[int]], **settings: Any) -> None:
        """`lengths`: of each row in the order of training, its sizes in tokens; `settings`: those of Trainer."""
        super().__init__(**settings)
        self.remove_callback(transformers.PrinterCallback)
        self.real_tokens = real_share(lengths, self.args.per_device_train_batch_size)


def real_share(lengths: Sequence[Sequence[int]], batch_size: int) -> float:
    """The share of real tokens among all, where each batch of `batch_size` rows is padded to its longest in each size.

    The last batch may lack rows.
    """
    batches = [np.array(lengths[start : start + batch_size]) for start in range(0, len(lengths), batch_size)]
    return float(sum(batch.sum() for batch in batches) / sum(len(batch) * batch.max(axis=0).sum() for batch in batches))
