"""The teacher: who writes the first pseudolabels, and how an engine for it is made.

The table of engines is literal: a new engine is a file here, a function and a line below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mckd_ray.config import TeacherConfig
from mckd_ray.errors import ConfigError, nearest
from mckd_ray.records import Example
from mckd_ray.tasks.base import Task

if TYPE_CHECKING:
    from mckd_ray.student.base import Labeller

Shot = tuple[Example, str]
"""An input with its gold, in the task's canonical string."""


@dataclass(frozen=True)
class Commission:
    """All that an engine may be made from."""

    config: TeacherConfig
    task: Task
    shots: Sequence[Shot] = ()
    checkpoint: Path | None = None
    """student: the folder of the trained student."""
    gold: Mapping[str, str] | None = None
    """simulated: id to canonical gold, of the whole pool whatever the batch: its names are what is confused."""


def _student(commission: Commission) -> Labeller:
    from mckd_ray.teacher.student_engine import make

    return make(commission)


def _transformers(commission: Commission) -> Labeller:
    from mckd_ray.teacher.transformers_engine import make

    return make(commission)


def _vllm(commission: Commission) -> Labeller:
    from mckd_ray.teacher.vllm_engine import make

    return make(commission)


def _replay(commission: Commission) -> Labeller:
    from mckd_ray.teacher.replay import make

    return make(commission)


def _simulated(commission: Commission) -> Labeller:
    from mckd_ray.teacher.simulated import make

    return make(commission)


ENGINES: dict[str, Callable[[Commission], Labeller]] = {
    "student": _student,
    "vllm": _vllm,
    "transformers": _transformers,
    "replay": _replay,
    "simulated": _simulated,
}


def make_teacher(
    config: TeacherConfig,
    task: Task,
    shots: Sequence[Shot] = (),
    checkpoint: Path | None = None,
    gold: Mapping[str, str] | None = None,
) -> Labeller:
    """The teacher that `config` describes, ready to label.

    `shots` are used by `transformers`, `checkpoint` by `student`, `gold` by `simulated`, and by no other engine.
    Raises ConfigError for an engine that isn't there, ModelError for a model that can't be loaded, DataError for a
    file of labels that can't be read.
    """
    if config.engine not in ENGINES:
        raise ConfigError(f"teacher.engine: there is no engine '{config.engine}'.{nearest(config.engine, ENGINES)}")
    return ENGINES[config.engine](Commission(config, task, shots, checkpoint, gold))
