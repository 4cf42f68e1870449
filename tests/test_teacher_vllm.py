"""The vLLM engine on a tiny random model: the real engine, from prompts to rows."""

from pathlib import Path
from typing import Any

import pytest

from mckd_ray.config import TeacherConfig
from mckd_ray.errors import ModelError
from mckd_ray.records import Example, Outcome
from mckd_ray.student.base import Labeller
from mckd_ray.tasks import TASKS
from mckd_ray.teacher import make_teacher
from tests.random_llama import EXAMPLES, SHOTS, save_random_llama

pytest.importorskip("vllm", reason="vLLM is not installed: run `make install`")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Labeller:
    return teacher("vllm", folder)


def teacher(engine: Any, folder: Path) -> Labeller:
    config = TeacherConfig(engine=engine, model=str(folder), max_new_tokens=12)
    return make_teacher(config, TASKS["constituency"], SHOTS)


def test_every_input_gets_a_row(engine: Labeller) -> None:
    labels = engine.label(EXAMPLES)
    assert [label.id for label in labels] == [example.id for example in EXAMPLES]
    for label in labels:
        assert label.outcome in (Outcome.REPAIRED, Outcome.UNPARSABLE)  # A random model writes no tree.
        assert -20 < label.confidence < 0


def test_a_prompt_that_does_not_fit_is_a_failed_row(engine: Labeller) -> None:
    short, long = engine.label([EXAMPLES[0], Example("long", ("cats",) * 400)])
    assert short.outcome is not Outcome.FAILED
    assert (long.outcome, "context of 400" in long.reason) == (Outcome.FAILED, True)


def test_greedy_answers_are_those_of_transformers(engine: Labeller, folder: Path) -> None:
    """The first words agree; later ones may not, as a random model's likeliest pieces lie close together."""
    pairs = zip(engine.label(EXAMPLES), teacher("transformers", folder).label(EXAMPLES), strict=True)
    assert all(one.raw[:4] == other.raw[:4] for one, other in pairs)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be loaded by vLLM"):
        teacher("vllm", tmp_path)
