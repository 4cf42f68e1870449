"""What the trainers of both kinds of student share: their settings, and the order in which they see the rows."""

from collections.abc import Sequence

import numpy as np
import torch
import transformers

from mckd_ray.config import TrainingConfig
from mckd_ray.errors import ConfigError
from mckd_ray.student.base import TrainingJob

LARGEST_GROUP = 100
"""Batches whose rows are sorted by length together, at most."""


def training_arguments(job: TrainingJob) -> transformers.TrainingArguments:
    """The trainer's settings for `job`.

    The trainer goes through its dataset once, in order: give it `torch.utils.data.Subset(rows, training_order(...))`.
    So a resumed run finds the very batch at which the first one was stopped.
    Raises ConfigError if the batch can't be shared evenly by the workers and accumulated parts.
    """
    training = job.training
    parts = job.workers * job.accumulate
    if training.batch_size % parts:
        raise ConfigError(
            f"student.training.batch_size={training.batch_size} is not a multiple of resources.student.workers x "
            f"accumulate = {job.workers} x {job.accumulate}: change one of the three."
        )
    return transformers.TrainingArguments(
        output_dir=str(job.work),
        max_steps=training.steps,
        per_device_train_batch_size=training.batch_size // parts,
        gradient_accumulation_steps=job.accumulate,
        learning_rate=training.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(training.warmup * training.steps),
        weight_decay=training.weight_decay,
        max_grad_norm=training.clip,
        optim="adamw_torch_fused",
        bf16=_bf16(training),
        use_cpu=not torch.cuda.is_available(),  # without it, workers on CPUs do not share their gradients
        seed=job.seed,
        data_seed=job.seed,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        save_strategy="steps",
        save_steps=max(1, training.steps // 4),
        save_total_limit=1,
        logging_steps=max(1, training.steps // 50),
        run_name=job.name or None,
        report_to="none",
        disable_tqdm=True,
    )


def training_order(lengths: Sequence[int], training: TrainingConfig, seed: int) -> list[int]:
    """The indices of the rows in the order of training: `steps` batches, end to end.

    Each pass over the rows is a fresh permutation. Within groups of batches (at most a pass), rows of like length share
    a batch; the batches of a group come in random order.
    """
    random = np.random.default_rng(seed)
    total = training.steps * training.batch_size
    passes = -(-total // len(lengths))
    order = np.concatenate([random.permutation(len(lengths)) for _ in range(passes)])[:total]
    sizes = np.asarray(lengths)
    group_size = min(max(1, len(lengths) // training.batch_size), LARGEST_GROUP) * training.batch_size
    batches = []
    for start in range(0, total, group_size):
        group = order[start : start + group_size]
        group = group[np.argsort(sizes[group], kind="stable")].reshape(-1, training.batch_size)
        batches.append(group[random.permutation(len(group))].reshape(-1))
    return [int(index) for index in np.concatenate(batches)]


def _bf16(training: TrainingConfig) -> bool:
    on_gpu = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return training.precision == "bf16" or (training.precision == "auto" and on_gpu)
