"""The teacher: who writes the first pseudolabels, and how it is made.

Prompted teachers are engines: a language model that is asked with shots. Others label inputs by themselves. Both tables
are literal: a new one is a file here, a function and a line below.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mckd_ray.config import TeacherConfig, TeacherResources
from mckd_ray.errors import ConfigError, nearest
from mckd_ray.tasks.base import Task
from mckd_ray.tasks.prompt_form import read_template
from mckd_ray.tasks.prompts import Prompts, Shot

if TYPE_CHECKING:
    from mckd_ray.student.base import Labeller
    from mckd_ray.teacher.engine import Engine


# Prompted teachers.


@dataclass(frozen=True)
class EngineOrder:
    """All that an engine may be made from."""

    config: TeacherConfig
    resources: TeacherResources
    prompts: Prompts
    model: str
    """Hub name, folder, or the server's name for the model."""


def _vllm(order: EngineOrder) -> Engine:
    from mckd_ray.teacher.vllm_engine import make

    return make(order)


def _openai(order: EngineOrder) -> Engine:
    from mckd_ray.teacher.openai_engine import make

    return make(order)


def _transformers(order: EngineOrder) -> Engine:
    from mckd_ray.teacher.transformers_engine import make

    return make(order)


ENGINES: dict[str, Callable[[EngineOrder], Engine]] = {
    "vllm": _vllm,
    "openai": _openai,
    "transformers": _transformers,
}


def engine_name(config: TeacherConfig) -> str:
    """The engine that `config` means: what `auto` is on this machine."""
    if config.engine != "auto":
        return config.engine
    return "vllm" if importlib.util.find_spec("vllm") else "transformers"


def make_prompts(config: TeacherConfig, task: Task, labelled: Sequence[Shot], known: Sequence[Shot] = ()) -> Prompts:
    """The prompts that `config` describes, with any of the `labelled` examples as shots. Raises ConfigError.

    `known`: other annotations, whose names a constrained answer may use too.
    """
    nearest_last = config.shot_selection == "similar"
    return Prompts(task, labelled, config.linearisation, read_template(config.template), nearest_last, known)


def make_engine(config: TeacherConfig, resources: TeacherResources, prompts: Prompts, model: str = "") -> Engine:
    """The engine that `config` describes, loaded; `model` in place of its own, where that has been trained here.

    Raises ConfigError for an engine that isn't there, ModelError for a model that can't be loaded.
    """
    return ENGINES[engine_name(config)](EngineOrder(config, resources, prompts, model or config.model))


# Teachers that label inputs by themselves.


@dataclass(frozen=True)
class Commission:
    """All that such a teacher may be made from."""

    config: TeacherConfig
    task: Task
    checkpoint: Path | None = None
    """student: the folder of the trained student."""
    gold: Mapping[str, str] | None = None
    """simulated: id to canonical gold, of the whole pool whatever the batch: its names are what is confused."""


def _student(commission: Commission) -> Labeller:
    from mckd_ray.teacher.student_engine import make

    return make(commission)


def _replay(commission: Commission) -> Labeller:
    from mckd_ray.teacher.replay import make

    return make(commission)


def _simulated(commission: Commission) -> Labeller:
    from mckd_ray.teacher.simulated import make

    return make(commission)


LABELLERS: dict[str, Callable[[Commission], Labeller]] = {
    "student": _student,
    "replay": _replay,
    "simulated": _simulated,
}


def make_labeller(
    config: TeacherConfig, task: Task, checkpoint: Path | None = None, gold: Mapping[str, str] | None = None
) -> Labeller:
    """The teacher that `config` describes, ready to label.

    `checkpoint` is used by `student`, `gold` by `simulated`, and by no other. Raises ConfigError for one that isn't
    there, ModelError for a model that can't be loaded, DataError for a file of labels that can't be read.
    """
    if config.engine not in LABELLERS:
        raise ConfigError(
            f"teacher.engine: '{config.engine}' labels nothing by itself.{nearest(config.engine, LABELLERS)}"
        )
    return LABELLERS[config.engine](Commission(config, task, checkpoint, gold))
