"""How far a step is: a small file in its folder, which any process that sees the store can read."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from mckd_ray.plan.store import write_json

FILE = "progress.json"
INTERVAL_S = 0.5


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
    """Writes the progress of one step, at most every `INTERVAL_S` seconds."""

    def __init__(self, folder: Path, total: int, done: int = 0) -> None:
        """For the step in `folder`, which has `total` units of work, `done` of them by an earlier attempt."""
        self._path, self._total, self._before = folder / FILE, total, done
        self._started = time.time()
        self._written = 0.0
        self.update(done)

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` units are finished."""
        now = time.time()
        if now - self._written >= INTERVAL_S or done >= self._total:
            fresh, left = done - self._before, self._total - self._before
            write_json(self._path, asdict(Progress(fresh, left, note, self._started, now)))
            self._written = now


def read_progress(folder: Path) -> Progress | None:
    """What the step in `folder` last said, if anything."""
    try:
        return Progress(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None
