"""How students are trained and inputs labelled: on Ray, or in this very process."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ray.actor import ActorHandle

from mckd_ray.config import StudentResources
from mckd_ray.records import Example, Label
from mckd_ray.runner.labelling import LabellerSource, label_in_pool
from mckd_ray.runner.progress import ProgressWriter
from mckd_ray.storage.root import Place
from mckd_ray.student.base import TrainingJob


class Means(ABC):
    """What the work of a step has at hand. The result is the same by any means."""

    @abstractmethod
    def train(self, job: TrainingJob, place: Place, resources: StudentResources) -> dict[str, Any]:
        """Train the student of `job` into `place`/model; returns facts for the record (steps, loss, times)."""

    @abstractmethod
    def label(
        self, source: LabellerSource, examples: Sequence[Example], labeller: str, place: Place, chunk: int
    ) -> tuple[list[Label], dict[str, int]]:
        """One label for each example, in order, by the model of `source`; `labeller` is the key of the step.

        With them, how many this attempt has labelled with which engine.
        """


@dataclass(frozen=True)
class OnRay(Means):
    """Ray Train runs, and a pool of labelling actors."""

    pool: Sequence[ActorHandle[Any]] = ()
    runs: ActorHandle[Any] | None = None
    """The actor that has students trained (`TrainingRuns`), for a training step."""

    def train(self, job: TrainingJob, place: Place, resources: StudentResources) -> dict[str, Any]:
        """See `Means.train`; it goes on from what an earlier attempt left."""
        from mckd_ray.runner.training import train

        if self.runs is None:
            raise TypeError("a training step needs the actor that has students trained")
        return train(job, place, resources, self.runs)

    def label(
        self, source: LabellerSource, examples: Sequence[Example], labeller: str, place: Place, chunk: int
    ) -> tuple[list[Label], dict[str, int]]:
        """See `Means.label`; chunks that an earlier attempt labelled are not labelled again."""
        return label_in_pool(self.pool, source, examples, labeller, place, chunk)


@dataclass(frozen=True)
class InProcess(Means):
    """Everything here and now: for many students so small that starting a process costs more than the training."""

    def train(self, job: TrainingJob, place: Place, resources: StudentResources) -> dict[str, Any]:
        """See `Means.train`. There is one worker, whatever the resources say."""
        from mckd_ray.student.train import train

        progress = ProgressWriter(place, job.training.steps)
        facts = train(replace(job.at(place.root.here), workers=1), place.path / "model", progress.update)
        shutil.rmtree(job.work, ignore_errors=True)
        return facts

    def label(
        self, source: LabellerSource, examples: Sequence[Example], labeller: str, place: Place, chunk: int
    ) -> tuple[list[Label], dict[str, int]]:
        """See `Means.label`."""
        model = source.load()
        labels = [replace(label, labeller=labeller) for label in model.label(examples)]
        return labels, {model.engine: len(labels)} if model.engine else {}
