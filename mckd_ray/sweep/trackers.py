"""Trackers of a sweep's trials, by Ray's own integrations; each student's curve is told where it is trained."""

from ray import tune

from mckd_ray.config import TrackingConfig


def loggers(tracking: TrackingConfig) -> list[tune.Callback]:
    """What tells a trial's point, and its score after each stage, to those that `tracking` names."""
    found: list[tune.Callback] = []
    if "wandb" in tracking.to:
        from ray.air.integrations.wandb import WandbLoggerCallback

        found.append(WandbLoggerCallback(project=tracking.project))
    if "mlflow" in tracking.to:
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        found.append(MLflowLoggerCallback(experiment_name=tracking.project))
    return found
