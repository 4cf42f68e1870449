"""The openai engine against vLLM's own server of a tiny random model."""

from collections.abc import Iterator

import pytest

from mckd_ray.errors import ModelError
from mckd_ray.records import Example
from mckd_ray.teacher.engine import Request
from tests.openai_engine import KEY, REQUESTS, engine
from tests.random_llama import EXAMPLES, save_random_llama
from tests.servers import vllm_server

pytest.importorskip("vllm", reason="vLLM is not installed: run `make install`")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def vllm_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """VLLM's own server of a tiny random model, named `tiny`, whose context is 400 tokens."""
    folder = tmp_path_factory.mktemp("vllm")
    with vllm_server(folder, save_random_llama(folder / "llama"), "tiny", KEY) as url:
        yield url


def test_it_answers_or_says_what_is_too_long(monkeypatch: pytest.MonkeyPatch, vllm_url: str) -> None:
    requests = [*REQUESTS, Request("long", Example("long", ("cats",) * 400), (0, 1))]
    with engine(monkeypatch, vllm_url, model="tiny") as teacher:
        answers = {answer.key: answer for answer in teacher.work(requests, 300)}
    assert set(answers) == {"q", "r", "s", "long"}
    long = answers.pop("long")
    assert not long.again
    assert long.failure.startswith("even without shots the prompt is too long (400: ")
    for answer in answers.values():
        assert answer.texts[0]
        assert -20 < answer.logprobs[0] < 0
        assert answer.shots == 2
        assert 0 < answer.tokens_out <= 20 < answer.tokens_in


def test_what_it_refuses(monkeypatch: pytest.MonkeyPatch, vllm_url: str) -> None:
    """More shots than fit; a model and a key that it doesn't know."""
    with engine(monkeypatch, vllm_url, model="tiny", samples=3, temperature=1) as teacher:
        (answer,) = teacher.work([Request("q", EXAMPLES[0], tuple(range(8)))], 300)
    assert len(set(answer.texts)) == 3
    assert 0 < answer.shots < 8
    for model, key, refused in (
        ("other", KEY, r"the server has no such model \(404: "),
        ("tiny", "sk-some-other-key", r"the server refused the key \(401\)"),
    ):
        known = engine(monkeypatch, vllm_url, key=key, model=model)
        with known as teacher, pytest.raises(ModelError, match=refused):
            teacher.work(REQUESTS[:1], 300)
