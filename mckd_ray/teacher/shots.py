"""Which labelled examples a teacher sees: a seeded draw from the labelled budget, and from nothing else."""

import random
from collections.abc import Sequence

from mckd_ray.errors import ConfigError
from mckd_ray.records import TrainingRow


def draw_shots(labelled: Sequence[TrainingRow], count: int, seed: int) -> list[TrainingRow]:
    """`count` rows of the labelled budget, in drawn order. The same set and seed, in any order, give the same shots.

    Raises ConfigError if the budget is smaller than `count`.
    """
    if count > len(labelled):
        raise ConfigError(
            f"teacher.shots: {count} shots are more than the labelled budget of {len(labelled)} rows;"
            " lower teacher.shots or raise corpus.labelled."
        )
    return random.Random(f"shots:{seed}").sample(sorted(labelled, key=lambda row: row.id), count)
