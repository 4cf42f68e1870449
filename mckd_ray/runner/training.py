"""One student's training as one Ray Train run of W data-parallel workers.

Ray Train's controller imports this module too, so what only the workers need is imported where they run.
"""

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import ray.train
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from mckd_ray import errors, student
from mckd_ray.config import StudentResources
from mckd_ray.plan.store import write_json
from mckd_ray.runner.placement import worker_resources
from mckd_ray.runner.progress import ProgressWriter
from mckd_ray.student.base import TrainingJob

MOST_WORKER_DEATHS = 3
"""How often the workers of one run are started anew from the last checkpoint."""
FACTS = "training.json"
"""Written last: what is known of the trained student, which is in place then, or the error that nothing mends."""


def train(job: TrainingJob, folder: Path, resources: StudentResources) -> dict[str, Any]:
    """Train the student of `job` into `folder`/model; returns facts for the record (steps, loss, times).

    It goes on from the last checkpoint that an earlier attempt left in `job.work`. Raises what the workers raise.
    """
    path = folder / FACTS
    if not path.exists():
        _fit(job, folder, resources)
        shutil.rmtree(job.work, ignore_errors=True)
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "error" in facts:
        path.unlink()
        raise getattr(errors, facts["error"])(facts["message"])
    return facts


def _fit(job: TrainingJob, folder: Path, resources: StudentResources) -> None:
    with tempfile.TemporaryDirectory(prefix="mckd-train-") as ray_folder:
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"job": job, "folder": folder, "threads": max(1, int(resources.cpus))},
            torch_config=TorchConfig(backend="nccl" if resources.gpus else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=resources.workers,
                use_gpu=resources.gpus > 0,
                resources_per_worker=worker_resources(resources),
                accelerator_type=resources.accelerator_type,
                label_selector=dict(resources.labels) or None,  # type: ignore[call-arg]
            ),
            # A name of its own: Ray Train would silently take an equal one for the same run, finished or not.
            run_config=RunConfig(
                name=f"{folder.name}-{time.time_ns()}",
                storage_path=ray_folder,
                failure_config=FailureConfig(max_failures=MOST_WORKER_DEATHS),
            ),
        )
        trainer.fit()


def _worker(settings: dict[str, Any]) -> None:
    """What each data-parallel worker runs; the first one writes the student and, last, the facts."""
    from mckd_ray.student.train import train as train_job

    job, folder = settings["job"], settings["folder"]
    student.use_threads(settings["threads"])
    chief = ray.train.get_context().get_world_rank() == 0
    progress = ProgressWriter(folder, job.training.steps) if chief else None
    try:
        facts = train_job(job, folder / "model" if chief else None, progress.update if progress else _say_nothing)
    except errors.MckdError as error:
        # Nothing that another attempt would mend; what is raised here, Ray Train would try again.
        facts = {"error": type(error).__name__, "message": str(error)}
    if chief:
        write_json(folder / FACTS, facts)


def _say_nothing(steps: int, note: str) -> None:
    """What the other workers tell of their progress."""
