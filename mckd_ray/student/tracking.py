"""Training curves: TensorBoard's files always, W&B and MLflow where the config names them, by transformers' means."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mckd_ray.config import TrackingConfig
from mckd_ray.errors import ConfigError
from mckd_ray.student.base import TrainingJob

if TYPE_CHECKING:
    import transformers

OFFLINE = ("offline", "disabled", "dryrun")
"""Modes of W&B that need no key."""


def check_trackers(tracking: TrackingConfig) -> None:
    """Raise ConfigError for a tracker that is not installed, or whose key is not in the environment."""
    for name in tracking.to:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"tracking.to names {name}, which is not installed here; pip install 'mckd-ray[trackers]', or leave it "
                "out."
            )
    if "wandb" in tracking.to and os.environ.get("WANDB_MODE") not in OFFLINE and not os.environ.get("WANDB_API_KEY"):
        raise ConfigError("tracking.to names wandb, but WANDB_API_KEY is not set; set it, or WANDB_MODE=offline.")


@contextmanager
def tracked(trainer: "transformers.Trainer", job: TrainingJob) -> Iterator[None]:
    """Have what `trainer` logs told to the trackers of `job` while it trains; only the chief of its workers tells."""
    for callback in _callbacks(trainer, job):
        trainer.add_callback(callback)
    try:
        yield
    finally:
        if "wandb" in job.tracking.to:
            import wandb

            wandb.finish()  # Else the next student of this process would go on with the run of this one.
        if "mlflow" in job.tracking.to:
            import mlflow

            mlflow.flush_async_logging()  # Ray ends its processes without waiting for that.


def _callbacks(trainer: "transformers.Trainer", job: TrainingJob) -> Iterator["transformers.TrainerCallback"]:
    from tensorboardX import SummaryWriter
    from transformers import integrations

    known: Any = integrations
    if trainer.is_world_process_zero():
        yield known.TensorBoardCallback(SummaryWriter(str(curves(job))))
    if "wandb" in job.tracking.to:
        os.environ["WANDB_PROJECT"] = job.tracking.project
        yield known.WandbCallback()
    if "mlflow" in job.tracking.to:
        os.environ["MLFLOW_EXPERIMENT_NAME"] = job.tracking.project
        yield known.MLflowCallback()


def curves(job: TrainingJob) -> Path:
    """The folder of TensorBoard's files, which shows them under the name of the job."""
    return job.work.with_name("tensorboard") / job.name.replace(" ", "-")
