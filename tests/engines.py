"""Asking an engine in this process, and reading what it says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mckd_ray.config import TeacherConfig, TeacherResources
from mckd_ray.records import Answer, Example, Label
from mckd_ray.tasks import TASKS
from mckd_ray.teacher import make_engine, make_prompts
from mckd_ray.teacher.engine import Engine, Request
from mckd_ray.teacher.reading import label_of
from tests.random_llama import SHOTS

TREE = TASKS["constituency"]


def start(engine: Any, folder: Path, **settings: Any) -> Engine:
    """An engine for trees, on the model in `folder`, with the two shots of `random_llama`."""
    config = TeacherConfig(engine=engine, model=str(folder), **{"max_new_tokens": 12, **settings})
    return make_engine(config, TeacherResources(), make_prompts(config, TREE, SHOTS))


def ask(engine: Engine, examples: Sequence[Example], shots: Sequence[int] = (0, 1)) -> list[Answer]:
    """The answers to `examples`, in order."""
    requests = [Request(example.id, example, tuple(shots)) for example in examples]
    answers = engine.work(requests, seconds=0.1)
    while len(answers) < len(requests):
        answers += engine.work([], seconds=0.1)
    by_key = {answer.key: answer for answer in answers}
    return [by_key[request.key] for request in requests]


def labels(engine: Engine, examples: Sequence[Example]) -> list[Label]:
    """What the answers to `examples` mean."""
    linearisation = TREE.linearisations["labelled-words"]
    return [
        label_of(example, answer, linearisation, TREE)
        for example, answer in zip(examples, ask(engine, examples), strict=True)
    ]
