"""The openai engine on a server of this machine, and what to ask it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from mckd_ray.config import TeacherConfig, TeacherResources
from mckd_ray.tasks import TASKS
from mckd_ray.teacher import EngineOrder, make_prompts
from mckd_ray.teacher.engine import Request
from mckd_ray.teacher.openai_engine import OpenAIEngine, make
from tests.random_llama import EXAMPLES, SHOTS

KEY = "sk-secret-0123456789"
REQUESTS = [Request(example.id, example, (0, 1)) for example in EXAMPLES]
PROMPTS = make_prompts(TeacherConfig(), TASKS["constituency"], SHOTS * 4)


@contextlib.contextmanager
def engine(
    monkeypatch: pytest.MonkeyPatch, url: str, resources: dict[str, Any] | None = None, key: str = KEY, **config: Any
) -> Iterator[OpenAIEngine]:
    """The engine for the server at `url`, with pauses of milliseconds."""
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("OPENAI_API_KEY", key)
    teacher = TeacherConfig(engine="openai", **{"model": "m", "max_new_tokens": 20, **config})
    made = make(EngineOrder(teacher, TeacherResources(**(resources or {})), PROMPTS, teacher.model), pause=0.002)
    assert isinstance(made, OpenAIEngine)
    with contextlib.closing(made):
        yield made
