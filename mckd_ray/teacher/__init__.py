"""The teacher: who writes the first pseudolabels, and how it is made.

Prompted teachers are engines: a language model that is asked with shots. Others label inputs by themselves. A new one
is a file here, its name in one of the two lists, and two lines in `make_engine` or in `make_labeller`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mckd_ray.config import TeacherConfig, TeacherResources
from mckd_ray.errors import ConfigError, nearest
from mckd_ray.tasks.base import Task
from mckd_ray.tasks.prompt_form import read_template
from mckd_ray.tasks.prompts import Prompts, Shot

if TYPE_CHECKING:
    from mckd_ray.student.base import Labeller
    from mckd_ray.teacher.engine import Engine
    from mckd_ray.teacher.fitting import FittedPrompts

PROMPTED = ("vllm", "openai", "transformers")
"""The engines that prompt a language model with shots."""
LABELLERS = ("student", "replay", "simulated")
"""The teachers that label inputs by themselves."""


# Prompted teachers.


@dataclass(frozen=True)
class EngineOrder:
    """All that an engine may be made from."""

    config: TeacherConfig
    resources: TeacherResources
    prompts: Prompts
    model: str
    """Hub name, folder, or the server's name for the model."""

    def fitted(self, tokenizer: Any, context: int) -> FittedPrompts:
        """The prompts in the pieces of a model that holds `context` of them."""
        from mckd_ray.teacher.fitting import FittedPrompts

        return FittedPrompts(self.prompts, tokenizer, context, self.config.max_new_tokens)


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
    order, name = EngineOrder(config, resources, prompts, model or config.model), engine_name(config)
    if name == "vllm":
        from mckd_ray.teacher import vllm_engine

        return vllm_engine.make(order)
    if name == "openai":
        from mckd_ray.teacher import openai_engine

        return openai_engine.make(order)
    if name == "transformers":
        from mckd_ray.teacher import transformers_engine

        return transformers_engine.make(order)
    raise ConfigError(f"teacher.engine: '{name}' is asked no prompts.{nearest(name, PROMPTED)}")


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


def make_labeller(
    config: TeacherConfig, task: Task, checkpoint: Path | None = None, gold: Mapping[str, str] | None = None
) -> Labeller:
    """The teacher that `config` describes, ready to label.

    `checkpoint` is used by `student`, `gold` by `simulated`, and by no other. Raises ConfigError for one that isn't
    there, ModelError for a model that can't be loaded, DataError for a file of labels that can't be read.
    """
    commission = Commission(config, task, checkpoint, gold)
    if config.engine == "student":
        from mckd_ray.teacher import student_engine

        return student_engine.make(commission)
    if config.engine == "replay":
        from mckd_ray.teacher import replay

        return replay.make(commission)
    if config.engine == "simulated":
        from mckd_ray.teacher import simulated

        return simulated.make(commission)
    raise ConfigError(f"teacher.engine: '{config.engine}' labels nothing by itself.{nearest(config.engine, LABELLERS)}")
