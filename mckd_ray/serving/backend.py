"""Who labels what the endpoint is asked: a model in this process, or (see `deployment.py`) replicas of it on Ray."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from mckd_ray.records import Example, Label
from mckd_ray.serving.batching import Batcher
from mckd_ray.serving.models import Model
from mckd_ray.serving.settings import Batching
from mckd_ray.student.base import Labeller


@dataclass(frozen=True)
class Labelled:
    """Labels, and the model that gave them: during an update, not all answers come from the same one."""

    labels: list[Label]
    model: Model


class Backend(ABC):
    """Where labels come from."""

    @abstractmethod
    async def label(self, examples: Sequence[Example]) -> Labelled:
        """One label for each example, in order. Raises RefusedError where it can't now."""

    @abstractmethod
    async def model(self) -> Model:
        """The model that answers. Raises RefusedError where none does yet."""


class LocalBackend(Backend):
    """A model in this process, with batching."""

    def __init__(self, model: Model, labeller: Labeller, batching: Batching) -> None:
        """`labeller`: the loaded model."""
        self._model = model
        self._batcher = Batcher(labeller.label, batching)

    async def label(self, examples: Sequence[Example]) -> Labelled:
        """See `Backend.label`."""
        return Labelled(await self._batcher.label(examples), self._model)

    async def model(self) -> Model:
        """See `Backend.model`."""
        return self._model
