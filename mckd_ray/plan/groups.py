"""Who sees and who relabels which partitions at an intermediate stage (MCKD, section 3 of the paper)."""

from dataclasses import dataclass

from mckd_ray.config import PlanConfig


@dataclass(frozen=True)
class Group:
    """The partitions that a student of an intermediate stage sees, and those that it relabels."""

    seen: tuple[int, ...]
    relabels: tuple[int, ...]


def groups(plan: PlanConfig, system: str) -> list[Group]:
    """The groups of a stage of `mckd`, or of the controls `born-again` and `self`, which relabel what they saw."""
    every = tuple(range(plan.partitions))
    if system == "born-again":
        return [Group(every, every)]
    if system == "self":
        return [Group((own,), (own,)) for own in every]
    split = [((one,), tuple(part for part in every if part != one)) for one in every]
    if plan.train_on == "own":
        return [Group(one, others) for one, others in split]
    return [Group(others, one) for one, others in split]


def letter(number: int) -> str:
    """A, B ... as the paper names its partitions; numbers beyond Z."""
    return chr(ord("A") + number) if number < 26 else str(number + 1)
