"""The transformers engine on a tiny random model: the real path from prompts to rows."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from mckd_ray.config import TeacherConfig
from mckd_ray.errors import ModelError
from mckd_ray.records import Example, Outcome
from mckd_ray.student.base import Labeller
from mckd_ray.tasks import TASKS
from mckd_ray.teacher import make_teacher
from tests.random_llama import EXAMPLES, SHOTS, save_random_llama

CHAT = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_llama(tmp_path_factory.mktemp("llama"))


def teacher(folder: Path, **settings: Any) -> Labeller:
    config = TeacherConfig(engine="transformers", model=str(folder), **{"max_new_tokens": 12, **settings})
    return make_teacher(config, TASKS["constituency"], SHOTS)


def test_every_input_gets_a_row(folder: Path) -> None:
    labels = teacher(folder).label(EXAMPLES)
    assert [label.id for label in labels] == ["q", "r", "s"]
    for label, example in zip(labels, EXAMPLES, strict=True):
        assert label.outcome in (Outcome.REPAIRED, Outcome.UNPARSABLE)  # A random model writes no tree.
        assert label.reason
        assert label.outcome.usable == bool(label.target)
        if label.target:
            assert TASKS["constituency"].check(label.target, example) == label.target
        assert "\n" not in label.raw
        assert -20 < label.confidence < 0


def test_answers_do_not_hang_on_the_batch(folder: Path) -> None:
    engine = teacher(folder)
    together = engine.label(EXAMPLES)
    for example, label in zip(EXAMPLES, together, strict=True):
        (alone,) = engine.label([example])
        assert alone.raw == label.raw
        assert alone.confidence == pytest.approx(label.confidence, abs=1e-3)


def test_the_confidence_is_the_mean_log_probability(folder: Path) -> None:
    (label,) = teacher(folder, max_new_tokens=1).label(EXAMPLES[:1])
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    from mckd_ray.teacher.prompts import Prompts

    ids = tokenizer(Prompts(TASKS["constituency"], SHOTS).text(EXAMPLES[0], 2)).input_ids[:-1]
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0, -1].log_softmax(0).max()
    assert label.confidence == pytest.approx(float(expected), abs=1e-3)


def test_shots_are_dropped_until_the_prompt_fits(folder: Path) -> None:
    """Of 400 pieces, 390 for the answer leave no room; 40 leave room for the query, but not for all shots."""
    (none,) = teacher(folder, max_new_tokens=390).label(EXAMPLES[:1])
    assert none.outcome is Outcome.FAILED
    assert "more than the model's context of 400" in none.reason
    assert math.isnan(none.confidence)
    (long,) = teacher(folder, max_new_tokens=2).label([Example("l", ("cat",) * 60)])
    assert long.outcome is not Outcome.FAILED


def test_a_chat_template_is_used_where_there_is_one(folder: Path, tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT
    transformers.AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    chat, plain = teacher(tmp_path).label(EXAMPLES), teacher(folder).label(EXAMPLES)
    assert [label.id for label in chat] == ["q", "r", "s"]
    assert [label.raw for label in chat] != [label.raw for label in plain]


def test_what_is_not_a_model_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be loaded as a causal language model"):
        teacher(tmp_path)
