"""The two Ray Serve deployments: replicas of the model, and the ingress that takes requests for them.

`application` builds both from a `ServingConfig`; `mckd serve` and a Serve config file both come here.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from mckd_ray import student
from mckd_ray.errors import ConfigError
from mckd_ray.records import Example
from mckd_ray.serving.app import make_app
from mckd_ray.serving.backend import Backend, Labelled, LocalBackend
from mckd_ray.serving.gate import Gate
from mckd_ray.serving.metrics import Metrics
from mckd_ray.serving.models import Model, content_digest, find
from mckd_ray.serving.refusals import RefusedError
from mckd_ray.serving.settings import SURGE_PERCENT, TOKEN_VARIABLE, Batching, Replicas, ServingConfig
from mckd_ray.student.base import Generation

ATTEMPTS = 2
"""How often inputs are given to a replica. An input that kills what labels it should not kill all replicas."""
CHUNK = 64
"""Inputs of a request that go to one replica together."""
ONGOING = 1000
"""Calls that a replica takes at once: batches are made from what has arrived."""
HEALTH_CHECK_S = 2.0
"""How soon a dead replica is noticed and replaced."""
_WORDS = ("It", "rains", ".")


class ModelReplica:
    """One copy of the model."""

    def __init__(self, model: Model, generation: Generation, batching: Batching, threads: int) -> None:
        """Load the model and label once, so that the first request finds all warm."""
        student.use_threads(threads)
        labeller = student.load(model.folder, generation)
        labeller.label([Example("warm", tokens=_WORDS, text="" if model.task != "text" else " ".join(_WORDS))])
        # The folder may have changed since the replica was ordered: say what was loaded.
        self._model = replace(model, digest=content_digest(model.folder))
        self._backend = LocalBackend(self._model, labeller, batching)

    async def label(self, examples: Sequence[Example]) -> Labelled:
        """One label for each example, and the model's name."""
        return await self._backend.label(examples)

    async def model(self) -> Model:
        """The model."""
        return self._model


class HandleBackend(Backend):
    """The model's replicas, called through their handle. A call whose replica dies is made once more, on another."""

    def __init__(self, replicas: DeploymentHandle[Any], metrics: Metrics) -> None:
        """`replicas`: the handle of the deployment of `ModelReplica`."""
        self._replicas, self._metrics = replicas, metrics

    async def label(self, examples: Sequence[Example]) -> Labelled:
        """See `Backend.label`."""
        chunks = [examples[start : start + CHUNK] for start in range(0, len(examples), CHUNK)]
        answers: list[Labelled] = await asyncio.gather(*(self._call("label", chunk) for chunk in chunks))
        return Labelled([label for answer in answers for label in answer.labels], answers[-1].model)

    async def model(self) -> Model:
        """See `Backend.model`."""
        model: Model = await self._call("model")
        return model

    async def _call(self, method: str, *arguments: Any) -> Any:
        for _ in range(ATTEMPTS):
            try:
                return await getattr(self._replicas, method).remote(*arguments)
            except (RayActorError, ReplicaUnavailableError):
                self._metrics.retried()
            except (BackPressureError, DeploymentUnavailableError):
                break
        raise RefusedError(503, "the model takes no inputs now; come again", headers={"Retry-After": "2"})


class _Ingress:
    """Takes requests: makes the app on its replica, where the token is in the environment."""

    def __init__(self, replicas: DeploymentHandle[Any], config: ServingConfig, task: str) -> None:
        self._replicas, self._config, self._task = replicas, config, task

    def __serve_build_asgi_app__(self) -> Gate:
        metrics = Metrics(serve.get_replica_context().replica_id.unique_id)
        gate = {"token": token(self._config), "hosts": self._config.hosts}
        return make_app(HandleBackend(self._replicas, metrics), self._config, self._task, gate, metrics)


def application(config: ServingConfig) -> serve.Application:
    """The Serve application of a model. Raises ModelError if there is no such model."""
    model = find(config.model, config.system)
    threads = max(1, int(config.replicas.cpus))
    return assemble(ModelReplica, (model, config.generation, config.batching, threads), config, model.task)


def assemble(replica: type, arguments: Sequence[Any], config: ServingConfig, task: str) -> serve.Application:
    """The ingress before replicas `replica(*arguments)`, which are, or act like, a `ModelReplica`."""
    replicas: Any = serve.deployment(replica, name="model")
    ingress: Any = serve.deployment(serve.ingress()(_Ingress), name="ingress")
    # What only the model needs would have Serve exchange the ingress too.
    shared = config.model_copy(update={"version": "", "model": "", "system": None})
    before = replicas.options(**_options(config.replicas, config)).bind(*arguments)
    application: serve.Application = ingress.options(**_options(config.ingress, config)).bind(before, shared, task)
    return application


def token(config: ServingConfig) -> str | None:
    """The token that requests must bear, if the config wants one. Raises ConfigError if the environment has none."""
    if not config.token:
        return None
    value = os.environ.get(TOKEN_VARIABLE, "")
    if not value:
        raise ConfigError(f"{TOKEN_VARIABLE} is not set where the ingress runs: requests could bear no token.")
    return value


def _options(replicas: Replicas, config: ServingConfig) -> dict[str, Any]:
    count: dict[str, Any] = {"num_replicas": replicas.least}
    if replicas.most > replicas.least:
        bounds = {"min_replicas": replicas.least, "max_replicas": replicas.most}
        count = {"autoscaling_config": {**bounds, "target_ongoing_requests": 16}}
    return {
        **count,
        "ray_actor_options": {"num_cpus": replicas.cpus, "num_gpus": replicas.gpus},
        "max_ongoing_requests": ONGOING,
        "health_check_period_s": HEALTH_CHECK_S,
        "max_surge_percent": SURGE_PERCENT,
        "graceful_shutdown_wait_loop_s": 0.2,
        "graceful_shutdown_timeout_s": config.drain_s,
    }
