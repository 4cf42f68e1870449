"""The vLLM engine on a tiny random model: the real engine, from prompts to rows."""

from pathlib import Path

import pytest

from mckd_ray.errors import ModelError
from mckd_ray.records import Example, Outcome
from mckd_ray.teacher.engine import Engine, Request
from tests.engines import ask, labels, start
from tests.random_llama import EXAMPLES, save_random_llama

pytest.importorskip("vllm", reason="vLLM is not installed: run `make install`")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return start("vllm", folder)


def test_every_input_gets_a_row(engine: Engine) -> None:
    found = labels(engine, EXAMPLES)
    assert [label.id for label in found] == [example.id for example in EXAMPLES]
    for label in found:
        assert label.outcome in (Outcome.REPAIRED, Outcome.UNPARSABLE)  # A random model writes no tree.
        assert -20 < label.confidence < 0


def test_what_prompts_share_is_computed_once(engine: Engine) -> None:
    ask(engine, EXAMPLES)
    again = ask(engine, [Example("t", ("a", "cat", "barks"))])
    assert again[0].tokens_cached > again[0].tokens_in / 2


def test_more_can_be_asked_while_others_are_answered(engine: Engine) -> None:
    first = [Request(f"first {number}", EXAMPLES[0], (0,)) for number in range(20)]
    second = [Request(f"second {number}", EXAMPLES[1], (0,)) for number in range(20)]
    answers = engine.work(first, seconds=0) + engine.work(second, seconds=0)
    while len(answers) < 40:
        answers += engine.work([], seconds=0.05)
    assert sorted(answer.key for answer in answers) == sorted(request.key for request in first + second)


def test_a_prompt_that_does_not_fit_is_a_failed_row(engine: Engine) -> None:
    short, long = ask(engine, [EXAMPLES[0], Example("long", ("cats",) * 400)])
    assert short.answered
    assert (long.answered, "context of 400" in long.failure) == (False, True)


def test_odd_inputs_are_rows_like_others(engine: Engine) -> None:
    odd = [Example("brackets", ("(", ")", "-LRB-")), Example("control", ("a\x00b", "\x1b[0m"))]
    assert [label.id for label in labels(engine, odd)] == ["brackets", "control"]


def test_greedy_answers_are_those_of_transformers(engine: Engine, folder: Path) -> None:
    """The first words agree; later ones may not, as a random model's likeliest pieces lie close together."""
    pairs = zip(ask(engine, EXAMPLES), ask(start("transformers", folder), EXAMPLES), strict=True)
    assert all(one.texts[0][:4] == other.texts[0][:4] for one, other in pairs)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be loaded by vLLM"):
        start("vllm", tmp_path)
