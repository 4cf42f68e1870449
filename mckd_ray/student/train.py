"""Running a training job: from its last complete checkpoint to a saved student, telling how far it is."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate.utils.memory import should_reduce_batch_size

from mckd_ray import student
from mckd_ray.student.base import TrainingJob
from mckd_ray.student.quiet import quiet
from mckd_ray.student.tracking import tracked

COMPLETE = "mckd_complete"
"""Written into a checkpoint when all of it is on disk: a killed process can leave half of one."""
Tell = Callable[[int, str], None]
"""Takes the number of optimiser steps that are done, and a note."""
Keep = Callable[[Path], None]
"""Takes the folder of a checkpoint, to put into safety what this worker has of it; the mark of completeness last."""


def train(job: TrainingJob, folder: Path | None, tell: Tell, keep: Keep = lambda checkpoint: None) -> dict[str, Any]:
    """Train `job` and save the student to `folder`, all or nothing; of several workers, only one has a `folder`.

    Returns optimiser steps, accumulated parts, loss, the learning curve (`losses`: pairs of a step and the mean loss
    since the last pair), the share of real tokens (the rest is padding), and times (seconds since the epoch). Raises
    what `StudentKind.trainer` does.
    """
    started = time.time()
    kind = student.kind(job.student.kind)
    trainer = kind.trainer(job)
    trainer.add_callback(_CheckpointMarks(keep))
    trainer.add_callback(_Steps(tell))
    with quiet(), tracked(trainer, job):
        result = trainer.train(resume_from_checkpoint=last_checkpoint(job.work))
    if folder is not None:
        unfinished = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(unfinished, ignore_errors=True)
        kind.save(trainer, job, unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.replace(folder)
    times = {"training_started": started, "training_ended": time.time()}
    losses = [[entry["step"], round(entry["loss"], 5)] for entry in trainer.state.log_history if "loss" in entry]
    counts = {"optimiser_steps": result.global_step, "real_tokens": round(trainer.real_tokens, 4)}
    counts["accumulate"] = job.accumulate
    return {**counts, "loss": result.training_loss, "losses": losses, **times}


def ran_out_of_memory(error: RuntimeError) -> bool:
    """Whether `train` raised it because there was no memory for the batch, on a GPU or without."""
    return bool(should_reduce_batch_size(error))


def last_checkpoint(work: Path) -> str | None:
    """The newest complete checkpoint of a trainer in `work`; half-written ones are deleted."""
    complete = []
    for checkpoint in work.glob("checkpoint-*"):
        if (checkpoint / COMPLETE).exists():
            complete.append(checkpoint)
        else:
            shutil.rmtree(checkpoint, ignore_errors=True)
    newest = max(complete, key=lambda checkpoint: int(checkpoint.name.rpartition("-")[2]), default=None)
    return None if newest is None else str(newest)


class _CheckpointMarks(transformers.TrainerCallback):
    """Marks each checkpoint as complete once the trainer has written, and all workers have kept, all of it."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called when a checkpoint has been written."""
        checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self._keep(checkpoint)
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # Each worker writes the state of its own random numbers.
        if state.is_world_process_zero and checkpoint.is_dir():
            (checkpoint / COMPLETE).touch()
            self._keep(checkpoint)


class _Steps(transformers.TrainerCallback):
    """Tells how many optimiser steps are done, and the last loss."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._note = tell, ""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Keep the loss for the note."""
        if logs and "loss" in logs:
            self._note = f"loss {float(logs['loss']):.3f}"

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called after each optimiser step."""
        self._tell(state.global_step, self._note)
