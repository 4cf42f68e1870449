"""How far a step is: a small file at its place, which any process that sees the store can read."""

import json
import time
from dataclasses import asdict, dataclass

from mckd_ray.storage.files import as_json
from mckd_ray.storage.root import Place

FILE = "progress.json"


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units (optimiser steps, inputs); `note` says more; times are seconds since the epoch."""

    done: int
    total: int
    note: str
    started: float
    updated: float

    @property
    def seconds_left(self) -> float | None:
        """An estimate from the speed so far; None before there is one."""
        if self.done <= 0 or self.total <= 0:
            return None
        return (self.updated - self.started) / self.done * (self.total - self.done)


class ProgressWriter:
    """Writes the progress of one step, no more often than its root wants to be told."""

    def __init__(self, place: Place, total: int, done: int = 0) -> None:
        """For the step at `place`, which has `total` units of work, `done` of them by an earlier attempt."""
        self._place, self._total, self._before = place / FILE, total, done
        self._started = time.time()
        self._written = 0.0
        self.update(done)

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` units are finished."""
        now = time.time()
        if now - self._written >= self._place.root.interval_s or done >= self._total:
            fresh, left = done - self._before, self._total - self._before
            self._place.tell(as_json(asdict(Progress(fresh, left, note, self._started, now))))
            self._written = now


def read_progress(place: Place) -> Progress | None:
    """What the step at `place` last said, if anything."""
    try:
        return Progress(**json.loads((place / FILE).glance() or ""))
    except ValueError:
        return None
