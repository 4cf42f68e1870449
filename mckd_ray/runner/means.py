"""How students are trained and inputs labelled: on Ray, or in this very process."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray.actor import ActorHandle

from mckd_ray.config import StudentResources
from mckd_ray.records import Example, Label
from mckd_ray.runner.labelling import LabellerSource, label_in_pool
from mckd_ray.runner.progress import ProgressWriter
from mckd_ray.student.base import TrainingJob


class Means(ABC):
    """What the work of a step has at hand. The result is the same by any means."""

    @abstractmethod
    def train(self, job: TrainingJob, folder: Path, resources: StudentResources) -> dict[str, Any]:
        """Train the student of `job` into `folder`/model; returns facts for the record (steps, loss, times)."""

    @abstractmethod
    def label(
        self, source: LabellerSource, examples: Sequence[Example], labeller: str, folder: Path, chunk: int
    ) -> list[Label]:
        """One label for each example, in order, by the model of `source`; `labeller` is the key of the step."""


@dataclass(frozen=True)
class OnRay(Means):
    """Ray Train runs, and a pool of labelling actors."""

    pool: Sequence[ActorHandle[Any]] = ()

    def train(self, job: TrainingJob, folder: Path, resources: StudentResources) -> dict[str, Any]:
        """See `Means.train`; it goes on from what an earlier attempt left."""
        from mckd_ray.runner.training import train

        return train(job, folder, resources)

    def label(
        self, source: LabellerSource, examples: Sequence[Example], labeller: str, folder: Path, chunk: int
    ) -> list[Label]:
        """See `Means.label`; chunks that an earlier attempt labelled are not labelled again."""
        return label_in_pool(self.pool, source, examples, labeller, folder, chunk)


@dataclass(frozen=True)
class InProcess(Means):
    """Everything here and now: for many students so small that starting a process costs more than the training."""

    def train(self, job: TrainingJob, folder: Path, resources: StudentResources) -> dict[str, Any]:
        """See `Means.train`. There is one worker, whatever the resources say."""
        from mckd_ray.student.train import train

        progress = ProgressWriter(folder, job.training.steps)
        facts = train(replace(job, workers=1), folder / "model", progress.update)
        shutil.rmtree(job.work, ignore_errors=True)
        return facts

    def label(
        self, source: LabellerSource, examples: Sequence[Example], labeller: str, folder: Path, chunk: int
    ) -> list[Label]:
        """See `Means.label`."""
        return [replace(label, labeller=labeller) for label in source.load().label(examples)]
