"""The transformers engine on a tiny random model: the real path from prompts to rows."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from mckd_ray.errors import ModelError
from mckd_ray.records import Example, Outcome
from mckd_ray.tasks.prompts import Prompts
from mckd_ray.teacher.engine import Engine
from tests.engines import TREE, ask, labels, start
from tests.random_llama import EXAMPLES, SHOTS, save_random_llama

CHAT = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_llama(tmp_path_factory.mktemp("llama"))


def engine(folder: Path, **settings: Any) -> Engine:
    return start("transformers", folder, **settings)


def test_every_input_gets_a_row(folder: Path) -> None:
    for label, example in zip(labels(engine(folder), EXAMPLES), EXAMPLES, strict=True):
        assert label.id == example.id
        assert label.outcome in (Outcome.REPAIRED, Outcome.UNPARSABLE)  # A random model writes no tree.
        assert label.reason
        assert label.outcome.usable == bool(label.target)
        if label.target:
            assert TREE.check(label.target, example) == label.target
        assert "\n" not in label.raw
        assert -20 < label.confidence < 0


def test_tokens_are_counted(folder: Path) -> None:
    answers = ask(engine(folder), EXAMPLES)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    prompts = Prompts(TREE, SHOTS)
    for answer, example in zip(answers, EXAMPLES, strict=True):
        assert answer.tokens_in == len(tokenizer(prompts.text(example, [0, 1])).input_ids) - 1
        assert 0 < answer.tokens_out <= 12
        assert answer.shots == 2


def test_answers_do_not_hang_on_the_batch(folder: Path) -> None:
    one = engine(folder)
    for example, together in zip(EXAMPLES, ask(one, EXAMPLES), strict=True):
        (alone,) = ask(one, [example])
        assert alone.texts == together.texts
        assert alone.logprobs == pytest.approx(together.logprobs, abs=1e-3)


def test_the_confidence_is_the_mean_log_probability(folder: Path) -> None:
    (answer,) = ask(engine(folder, max_new_tokens=1), EXAMPLES[:1])
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(Prompts(TREE, SHOTS).text(EXAMPLES[0], [0, 1])).input_ids[:-1]
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0, -1].log_softmax(0).max()
    assert answer.logprobs == pytest.approx((float(expected),), abs=1e-3)


def test_several_samples_are_several_texts(folder: Path) -> None:
    (answer,) = ask(engine(folder, samples=5, temperature=1.0), EXAMPLES[:1])
    assert len(answer.texts) == len(answer.logprobs) == 5
    assert len(set(answer.texts)) > 1
    assert answer.tokens_out > 12


def test_shots_are_dropped_until_the_prompt_fits(folder: Path) -> None:
    """Of 400 pieces, 390 for the answer leave no room at all; 2 leave room for the query, but not for all shots."""
    (none,) = ask(engine(folder, max_new_tokens=390), EXAMPLES[:1])
    assert not none.answered
    assert not none.again
    assert "more than the model's context of 400" in none.failure
    (long,) = ask(engine(folder, max_new_tokens=2), [Example("l", ("cat",) * 60)])
    assert long.answered
    assert long.shots < 2


def test_a_chat_template_is_used_where_there_is_one(folder: Path, tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT
    transformers.AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    chat, plain = ask(engine(tmp_path), EXAMPLES), ask(engine(folder), EXAMPLES)
    assert [answer.texts for answer in chat] != [answer.texts for answer in plain]


def test_what_is_not_a_model_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be loaded as a causal language model"):
        engine(tmp_path)
