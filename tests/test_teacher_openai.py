"""The openai engine against real servers on this machine, well-behaved and misbehaving."""

import asyncio
import logging
import math
import random
import re
import threading
import time
from collections.abc import Sequence
from typing import Any

import psutil
import pytest
from aiohttp import web

from mckd_ray.config import TeacherConfig, TeacherResources
from mckd_ray.errors import ConfigError, ModelError
from mckd_ray.records import Answer, Example
from mckd_ray.teacher import make_engine
from mckd_ray.teacher.engine import Request
from tests.openai_engine import KEY, PROMPTS, REQUESTS, engine
from tests.random_llama import EXAMPLES
from tests.servers import Ask, ChatServer, CutError, Rule, completion, free_port, refusal


def ask(
    monkeypatch: pytest.MonkeyPatch,
    rule: Rule,
    requests: Sequence[Request] = REQUESTS[:1],
    resources: dict[str, Any] | None = None,
    **config: Any,
) -> tuple[list[Answer], ChatServer]:
    """What a server with this rule answers to the requests, in their order."""
    with ChatServer(rule) as server, engine(monkeypatch, server.url, resources, **config) as teacher:
        answers = teacher.work(requests, 60)
    order = [request.key for request in requests]
    answers.sort(key=lambda answer: order.index(answer.key))
    assert [answer.key for answer in answers] == order
    return answers, server


def many(count: int) -> list[Request]:
    return [Request(str(index), Example(str(index), ("word", str(index))), ()) for index in range(count)]


async def well(ask: Ask) -> web.Response:
    return completion("(S (NP cats))", prompt_tokens=9, completion_tokens=4, prompt_tokens_details={"cached_tokens": 8})


def test_a_server_is_asked_in_chats(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, server = ask(monkeypatch, well, REQUESTS, seed=3)
    assert answers[0] == Answer("q", ("(S (NP cats))",), (-0.5,), 2, tokens_in=9, tokens_out=4, tokens_cached=8)
    sent = next(ask for ask in server.asks if ask.question.startswith("Sentence: a dog barks ."))
    assert sent.authorization == f"Bearer {KEY}"
    assert sent.body == {
        "messages": PROMPTS.messages(EXAMPLES[0], (0, 1)),
        "model": "m",
        "temperature": 0,
        "seed": 3,
        "logprobs": True,
        "max_tokens": 20,
    }


def test_several_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rule(ask: Ask) -> web.Response:
        return completion(*["a", None, "b"][: ask.body["n"]])

    (answer,), _ = ask(monkeypatch, rule, samples=3, temperature=1)
    assert answer.texts == ("a", "", "b")
    assert answer.logprobs == pytest.approx((-0.5, math.nan, -0.5), nan_ok=True)
    (answer,), _ = ask(monkeypatch, rule, samples=4, temperature=1)
    assert (answer.texts, answer.again) == ((), True)
    assert "the server wrote 3 of 4 samples" in answer.failure


@pytest.mark.parametrize("concurrency", [16, 100])
def test_a_misbehaving_server(monkeypatch: pytest.MonkeyPatch, concurrency: int) -> None:
    """For 100 requests, 30% of the attempts fail, in five ways; 3 attempts are not always enough."""
    resources = {"concurrency": concurrency, "attempts": 3, "timeout_s": 4}

    async def rule(ask: Ask) -> web.Response:
        draw = random.Random(f"{ask.question} {ask.attempt}").random()
        await asyncio.sleep(0.002)
        if draw < 0.1:
            return refusal(429, "Slow down.", {"Retry-After": "0.01"})
        if draw < 0.18:
            return refusal(500, "Oops.")
        if draw < 0.25:
            raise CutError
        if draw < 0.29:
            return web.Response(text="{", content_type="application/json")
        if draw < 0.3:
            await asyncio.sleep(30)
        return completion(ask.question)

    requests = many(100)
    answers, server = ask(monkeypatch, rule, requests, resources)
    for request, answer in zip(requests, answers, strict=True):
        question = f"Sentence: {request.example.source}\nTree:"
        if answer.answered:
            assert answer.texts == (question,)
        else:
            assert answer.failure.endswith(", after 3 attempts")
            assert answer.again
        assert server.attempts[question] <= 3
    assert 80 < sum(answer.answered for answer in answers) < 100
    assert 1 < server.most_at_once <= concurrency


def test_what_is_not_done_in_a_slice_is_done_later(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = threading.Event()

    async def rule(ask: Ask) -> web.Response:
        if ask.question.startswith("Sentence: cats\n"):
            await asyncio.to_thread(ready.wait)
        return await well(ask)

    with ChatServer(rule) as server, engine(monkeypatch, server.url) as teacher:
        assert teacher.work([], 60) == []
        first: list[Answer] = []
        new: Sequence[Request] = REQUESTS
        while len(first) < 2:
            first += teacher.work(new, 0.01)
            new = []
        assert {answer.key for answer in first} == {"q", "s"}
        ready.set()
        assert [answer.key for answer in teacher.work([], 60)] == ["r"]


def test_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of what has been answered, nor of what has not."""

    async def rule(ask: Ask) -> web.Response:
        if ask.question.startswith("Sentence: cats\n"):
            return await well(ask)
        await asyncio.sleep(3600)
        raise CutError

    with ChatServer(rule) as server:
        files, threads = psutil.Process().num_fds(), set(threading.enumerate())
        with engine(monkeypatch, server.url) as teacher:
            new: Sequence[Request] = REQUESTS
            while not teacher.work(new, 0.01):
                new = []
        assert set(threading.enumerate()) <= threads
        deadline = time.monotonic() + 20
        while psutil.Process().num_fds() > files:  # The server takes a moment to see that its client has gone.
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_retry_after_holds_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rule(ask: Ask) -> web.Response:
        if len(server.asks) == 1:
            return refusal(429, "Slow down.", {"Retry-After": "0.3"})
        return await well(ask)

    with ChatServer(rule) as server, engine(monkeypatch, server.url, {"concurrency": 1}) as teacher:
        assert all(answer.answered for answer in teacher.work(REQUESTS, 60))
        assert server.asks[1].at - server.asks[0].at >= 0.3
        assert len(server.asks) == 4


def test_a_server_that_wants_an_hour_gets_no_other_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rule(ask: Ask) -> web.Response:
        return refusal(503, "Down for maintenance.", {"Retry-After": "3600"})

    (answer,), server = ask(monkeypatch, rule)
    assert answer.failure == "the server wants a pause of 3600 s (503: Down for maintenance)"
    assert answer.again
    assert len(server.asks) == 1


def test_no_more_are_sent_than_the_rate_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 1,200 a minute there are 50 ms between requests; failed attempts count too."""

    async def rule(ask: Ask) -> web.Response:
        return refusal(500, "Oops.") if ask.attempt == 1 else await well(ask)

    started = time.monotonic()
    _, server = ask(monkeypatch, rule, many(5), {"requests_per_minute": 1200})
    assert len(server.asks) == 10
    assert time.monotonic() - started >= 9 * 0.05


def test_shots_are_halved_until_the_prompt_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rule(ask: Ask) -> web.Response:
        if len(ask.body["messages"]) > 2 * 2 + 1:
            return refusal(400, "This model's maximum context length is 99 tokens.", code=400)
        return await well(ask)

    requests = [Request("many", EXAMPLES[0], tuple(range(8))), Request("two", EXAMPLES[1], (0, 1))]
    answers, server = ask(monkeypatch, rule, requests, {"attempts": 1})
    assert [answer.shots for answer in answers] == [2, 2]
    assert server.attempts["Sentence: a dog barks .\nTree:"] == 3


def test_a_prompt_that_does_not_fit_even_without_shots(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rule(ask: Ask) -> web.Response:
        return refusal(400, "Too much.", code="context_length_exceeded")

    (answer,), server = ask(monkeypatch, rule)
    assert (answer.failure, answer.again) == ("even without shots the prompt is too long (400: Too much)", False)
    assert [len(ask.body["messages"]) for ask in server.asks] == [5, 3, 1]


def test_parameters_that_a_server_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are renamed or left out for all that follows, and cost no attempt."""

    async def rule(ask: Ask) -> web.Response:
        if "max_tokens" in ask.body:
            return refusal(400, "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
        if "logprobs" in ask.body:
            return refusal(400, "Not with this model.", param="logprobs")
        if "seed" in ask.body:
            return refusal(422, 'Unknown name "seed".')
        return completion("a", logprobs=False)

    with ChatServer(rule) as server, engine(monkeypatch, server.url, {"attempts": 1}) as teacher:
        for _ in range(2):
            answers = teacher.work(REQUESTS, 60)
            assert [answer.texts for answer in answers] == [("a",)] * 3
            assert all(math.isnan(answer.logprobs[0]) for answer in answers)
    assert server.asks[-1].body["max_completion_tokens"] == 20
    assert len(server.asks) == 4 * 3 + 3


@pytest.mark.parametrize("body", ['{"choices": []}', '{"choices": [{"message": {"content": null}}]}'])
def test_no_text_is_an_empty_text(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    async def rule(ask: Ask) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    (answer,), _ = ask(monkeypatch, rule)
    assert (answer.texts, answer.answered, answer.tokens_in) == (("",), True, 0)
    assert math.isnan(answer.logprobs[0])


def test_responses_that_are_not_a_chats(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = ["", "{", "[1]", "{}", "null", '{"choices": [1]}', '{"choices": "no"}', "<html>"]

    async def rule(ask: Ask) -> web.Response:
        if ask.attempt > len(bodies):
            return await well(ask)
        kind = "text/html" if ask.attempt == len(bodies) else "application/json"
        return web.Response(text=bodies[ask.attempt - 1], content_type=kind)

    (answer,), _ = ask(monkeypatch, rule, resources={"attempts": len(bodies) + 1})
    assert answer.answered
    (answer,), _ = ask(monkeypatch, rule, resources={"attempts": len(bodies)})
    assert answer.failure.startswith("the server's response isn't one to a chat; see that OPENAI_BASE_URL is right")
    assert answer.failure.endswith(", after 8 attempts")


@pytest.mark.parametrize(
    ("status", "message", "failure"),
    [
        (401, f"Incorrect API key: {KEY[:12]}.", "the server refused the key (401); set OPENAI_API_KEY"),
        (403, f"{KEY} may not.", "the server refused access (403: *** may not); see what the key"),
        (404, "No model m.", "the server has no such model (404: No model m); set teacher.model to"),
        (404, "Not found.", "the server has no chats at this address (404: Not found); see that OPENAI_BASE_URL"),
        (429, "You exceeded your quota.", "the account of OPENAI_API_KEY has no quota left (429: You exceeded"),
    ],
)
def test_what_every_request_would_meet_ends_the_asking(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int, message: str, failure: str
) -> None:
    async def rule(ask: Ask) -> web.Response:
        return refusal(status, message, code="insufficient_quota" if status == 429 else None)

    with ChatServer(rule) as server, caplog.at_level(logging.DEBUG), engine(monkeypatch, server.url) as teacher:
        with pytest.raises(ModelError, match=re.escape(failure)) as error:
            teacher.work(REQUESTS[:1], 60)
        assert len(server.asks) == 1
        for secret in (KEY, KEY[:12], server.url):
            assert secret not in f"{error.value} {teacher!r} {vars(teacher)['name']} {caplog.text}"


def test_what_was_answered_is_handed_over_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rule(ask: Ask) -> web.Response:
        return await well(ask) if len(server.asks) == 1 else refusal(401, "no")

    with ChatServer(rule) as server, engine(monkeypatch, server.url, {"concurrency": 1}) as teacher:
        answers = teacher.work(REQUESTS, 60)
        assert [answer.answered for answer in answers] == [True]
        with pytest.raises(ModelError, match="refused the key"):
            teacher.work([], 60)


@pytest.mark.parametrize(
    ("status", "message", "failure", "again"),
    [
        (418, "." * 290 + KEY, "the server refused the request (418: ...", False),
        (400, "temperature must be 1.", "the server refused the request (400: temperature must be 1)", False),
    ],
)
def test_refusals_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int,
    message: str,
    failure: str,
    again: bool,
) -> None:
    async def rule(ask: Ask) -> web.Response:
        return refusal(status, message)

    with ChatServer(rule) as server, caplog.at_level(logging.DEBUG), engine(monkeypatch, server.url) as teacher:
        (answer,) = teacher.work(REQUESTS[:1], 60)
        assert (answer.failure[: len(failure)], answer.again) == (failure, again)
        assert len(server.asks) == 1
        for secret in (KEY, KEY[:12], server.url):
            assert secret not in f"{answer} {teacher!r} {vars(teacher)['name']} {caplog.text}"


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with engine(monkeypatch, f"http://127.0.0.1:{free_port()}/v1", {"attempts": 2}) as teacher:
        (answer,) = teacher.work(REQUESTS[:1], 60)
    assert answer.failure.startswith("the connection to the server failed; see that OPENAI_BASE_URL is right")
    assert answer.failure.endswith(", after 2 attempts")
    assert answer.again


def test_what_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a surrogate pair is no UTF-8; control characters are."""
    requests = [Request("half", Example("half", ("\ud800",)), ()), Request("control", Example("c", ("\x00\x1b",)), ())]
    (half, control), _ = ask(monkeypatch, well, requests)
    assert (control.answered, half.answered, half.again) == (True, False, False)
    assert "a character that cannot be sent" in half.failure


@pytest.mark.parametrize(
    ("environment", "config", "error", "message"),
    [
        ({"OPENAI_API_KEY": ""}, {}, ModelError, "OPENAI_API_KEY is not set; set it to the server's key, or to any"),
        ({"OPENAI_API_KEY": "ké"}, {}, ModelError, "OPENAI_API_KEY holds a character that no key has"),
        ({"OPENAI_BASE_URL": "somewhere:8000/v1"}, {}, ModelError, "OPENAI_BASE_URL is no address"),
        ({"OPENAI_BASE_URL": "http://somewhere:x/v1"}, {}, ModelError, "OPENAI_BASE_URL is no address"),
        ({}, {"model": ""}, ConfigError, "teacher.model is empty"),
        ({}, {"constrain": "regex"}, ConfigError, "teacher.constrain=regex needs teacher.engine=vllm"),
    ],
)
def test_what_must_be_set(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    config: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    for name, value in {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "", **environment}.items():
        monkeypatch.setenv(name, value)
    teacher = TeacherConfig(engine="openai", **{"model": "m", **config})
    with pytest.raises(error, match=message) as raised:
        make_engine(teacher, TeacherResources(), PROMPTS)
    assert not any(value in str(raised.value) for value in environment.values() if value)
