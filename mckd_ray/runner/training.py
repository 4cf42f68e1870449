"""One student's training: what its step does, and what the workers of a Ray Train run do.

Ray Train's own processes import this module too, so what only the workers need is imported where they run.
"""

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from mckd_ray import errors, student
from mckd_ray.config import StudentResources
from mckd_ray.runner.progress import ProgressWriter
from mckd_ray.storage.files import as_json
from mckd_ray.storage.root import Place
from mckd_ray.student.base import TrainingJob

FACTS = "training.json"
"""Written last: what is known of the trained student, which is in place then, or the error that nothing mends."""


def train(job: TrainingJob, place: Place, resources: StudentResources, runs: Any) -> dict[str, Any]:
    """Have the student of `job` trained into `place`/model by the actor `runs` (`TrainingRuns`).

    Returns facts for the record (steps, loss, times). Training goes on from the last checkpoint that an earlier attempt
    left in `job.work`. Raises what the workers raise.
    """
    told = (place / FACTS).read()
    if told is None:
        ray.get(runs.train.remote(job.at(place.root.relative), place, resources))
        place.root.forget(job.work)
        told = (place / FACTS).read() or ""
    facts: dict[str, Any] = json.loads(told)
    if "error" in facts:
        (place / FACTS).forget()
        raise getattr(errors, facts["error"])(facts["message"])
    if facts["accumulate"] != resources.accumulate:
        facts["out_of_memory"] = f"with accumulate={resources.accumulate}; trained with {facts['accumulate']}"
    return facts


def work(settings: dict[str, Any]) -> None:
    """What each data-parallel worker of a Ray Train run does: train one student after another, while there are any."""
    from ray.train import collective, get_context

    from mckd_ray.student.train import ran_out_of_memory

    runs, name = settings["runs"], settings["name"]
    student.use_threads(settings["threads"])
    chief, finished = get_context().get_world_rank() == 0, None
    while True:
        more = ray.get(runs.go_on.remote(name, finished)) if chief else None
        if not collective.broadcast_from_rank_zero(more):
            return
        job, finished = ray.get(runs.current.remote(name))
        try:
            _train(job, finished, chief)
        except RuntimeError as error:
            if ran_out_of_memory(error):
                ray.get(runs.out_of_memory.remote(name, job.accumulate))
            raise  # All workers start anew, in fresh processes: the others may be waiting for this one.
        gc.collect()  # The next student may need the memory of this one.


def _train(job: TrainingJob, place: Place, chief: bool) -> None:
    """Train a student; the chief writes it and, last, the facts. The job's paths are those from the root."""
    from mckd_ray.student.train import train as train_job

    job = job.at(place.root.here)
    progress = ProgressWriter(place, job.training.steps) if chief else None
    try:
        model, tell = (place.path / "model", progress.update) if progress else (None, _say_nothing)
        facts = train_job(job, model, tell, keeper(job, place, chief))
    except errors.MckdError as error:
        # Nothing that another attempt would mend; what is raised here, Ray Train would try again.
        facts = {"error": type(error).__name__, "message": str(error)}
    if chief:
        place.keep()
        (place / FACTS).write(as_json(facts))


def keeper(job: TrainingJob, place: Place, chief: bool) -> Callable[[Path], None]:
    """What puts checkpoints into safety at `place`; once one is complete, the chief has those before it forgotten."""
    from mckd_ray.student.train import COMPLETE

    older = set(job.work.glob("checkpoint-*"))

    def keep(checkpoint: Path) -> None:
        place.root.keep(checkpoint)
        if chief and (checkpoint / COMPLETE).exists():
            for path in older - {checkpoint}:
                place.root.forget(path)
            older.clear()
            older.add(checkpoint)

    return keep


def _say_nothing(steps: int, note: str) -> None:
    """What the other workers tell of their progress."""
