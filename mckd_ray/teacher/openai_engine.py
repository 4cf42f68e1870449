"""The `openai` engine: a model behind any OpenAI-compatible server (vLLM, Ollama, OpenAI ...), asked in chats.

Where the server is, and the key for it, come from the environment alone, and stand in no message.
"""

import asyncio
import logging
import math
import os
import random
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import openai

from mckd_ray.errors import ConfigError, ModelError
from mckd_ray.records import Answer
from mckd_ray.teacher import EngineOrder
from mckd_ray.teacher.engine import Engine, Request

OPENAI_URL = "https://api.openai.com/v1"
QUEUE = 4
"""Requests in flight for each that may be at the server, so that there is one to send while others pause."""
FIRST_PAUSE_S = 1.0
"""The pause after a request's first failed attempt; each further one is twice as long."""
LONGEST_PAUSE_S = 60.0
"""Where its pauses stop growing."""
LONGEST_WAIT_S = 300.0
"""Where a server wants a longer pause than this, the request has failed."""
OPTIONAL = ("logprobs", "seed")
"""What is left out of requests to a server that refuses it."""
TOO_LONG = re.compile(r"context.{0,12}(length|window|size)|(prompt|input) is too long|reduce the length", re.IGNORECASE)
SEE_URL = "see that OPENAI_BASE_URL is right (mostly, it ends in /v1)"
SHORTEST_SECRET = 8
"""A key with fewer characters is a word for a server without keys; and it may be part of many a message."""


class OpenAIEngine(Engine):
    """A server's model. Requests make progress only while `work` runs; `close` ends those that are left.

    `work` raises ModelError for what the server would say to every request, such as that it does not know the key.
    """

    def __init__(self, order: EngineOrder, key: str, url: str, pause: float) -> None:
        """`pause`: as FIRST_PAUSE_S."""
        config, resources = order.config, order.resources
        self._prompts, self._resources, self._pause = order.prompts, resources, pause
        self._samples = config.samples
        self._secrets = [secret for secret in (key, url) if len(secret) >= SHORTEST_SECRET]
        self._parameters: dict[str, Any] = {
            "model": order.model,
            "temperature": config.temperature,
            "seed": config.seed,
            "logprobs": True,
            "max_tokens": config.max_new_tokens,
        }
        if config.samples > 1:
            self._parameters["n"] = config.samples
        for name in ("openai", "httpx", "httpx2"):  # They log the server's address.
            logging.getLogger(name).setLevel(logging.WARNING)
        # Attempts are counted and timed here, not by the client.
        self._client = openai.AsyncOpenAI(api_key=key, base_url=url, max_retries=0, timeout=None)
        self._loop = asyncio.new_event_loop()
        self._slots, self._pace = asyncio.Semaphore(resources.concurrency), _Pace(resources.requests_per_minute)
        self._tasks: set[asyncio.Task[Answer]] = set()
        self._over: ModelError | None = None
        self.name = f"openai client {openai.__version__}"
        self.in_flight = QUEUE * resources.concurrency

    def work(self, requests: Sequence[Request], seconds: float) -> list[Answer]:
        """Talk to the server for a slice of time. What it has answered is handed over before any error is raised."""
        if self._over is not None:
            raise self._over
        self._tasks |= {self._loop.create_task(self._answer(request)) for request in requests}
        if not self._tasks:
            return []
        done, self._tasks = self._loop.run_until_complete(asyncio.wait(self._tasks, timeout=seconds))
        answers = []
        for task in done:
            try:
                answers.append(task.result())
            except ModelError as error:
                self._over = error
        if self._over is not None and not answers:
            raise self._over
        return answers

    def close(self) -> None:
        """Drop what is in flight, and all connections."""
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()
        await self._loop.shutdown_default_executor()

    async def _answer(self, request: Request) -> Answer:
        """Ask until there is an answer, or no hope of one."""
        shots, failed = request.shots, 0
        while True:
            messages, parameters = self._prompts.messages(request.example, shots), dict(self._parameters)
            try:
                answer = self._read(await self._attempt(messages, parameters))
                return replace(answer, key=request.key, shots=len(shots))
            except (openai.OpenAIError, TimeoutError, ValueError, TypeError, AttributeError) as error:
                if shots and _too_long(error):
                    shots = shots[: len(shots) // 2]
                    continue
                if self._adapt(error, parameters):
                    continue
                trouble = diagnose(error, self._secrets)
            if trouble.everywhere:
                raise ModelError(f"teacher.engine=openai: {trouble.reason}.")
            failed += 1
            if not trouble.passing or failed == self._resources.attempts:
                return Answer(request.key, shots=len(shots), failure=trouble.after(failed), again=trouble.again)
            self._pace.hold(trouble.wait)
            longest = min(LONGEST_PAUSE_S, self._pause * 2 ** (failed - 1))
            await asyncio.sleep(max(trouble.wait, random.uniform(longest / 2, longest)))

    async def _attempt(self, messages: Any, parameters: dict[str, Any]) -> Any:
        async with self._slots:
            await self._pace.turn()
            async with asyncio.timeout(self._resources.timeout_s):
                return await self._client.chat.completions.create(messages=messages, **parameters)

    def _read(self, completion: Any) -> Answer:
        """The answer in a response; TypeError or AttributeError, if it isn't a chat's (the client doesn't check)."""
        texts = [choice.message.content or "" for choice in completion.choices] or [""] * self._samples
        pieces = [(choice.logprobs and choice.logprobs.content) or [] for choice in completion.choices]
        logprobs = [_mean([piece.logprob for piece in some]) for some in pieces] or [math.nan] * self._samples
        usage = completion.usage
        details = usage and usage.prompt_tokens_details
        answer = Answer(
            "",
            tokens_in=(usage and usage.prompt_tokens) or 0,
            tokens_out=(usage and usage.completion_tokens) or 0,
            tokens_cached=(details and details.cached_tokens) or 0,
        )
        if len(texts) == self._samples:
            return replace(answer, texts=tuple(texts), logprobs=tuple(logprobs))
        few = f"the server wrote {len(texts)} of {self._samples} samples; set teacher.samples=1 if it can write no more"
        return replace(answer, failure=few, again=True)

    def _adapt(self, error: Exception, sent: dict[str, Any]) -> bool:
        """Stop sending a parameter that the server refuses by its name. False if that isn't the error."""
        if not isinstance(error, openai.APIStatusError) or error.status_code not in (400, 422) or _too_long(error):
            return False
        said = f"{error.param} {_words(error)}"
        if "max_tokens" in sent and "max_completion_tokens" in said:
            self._parameters["max_completion_tokens"] = sent["max_tokens"]
            self._parameters.pop("max_tokens", None)
            return True
        refused = [name for name in OPTIONAL if name in sent and re.search(rf"\b{name}\b", said)]
        for name in refused:
            self._parameters.pop(name, None)
        return bool(refused)


class _Pace:
    """When the next request may be sent: at even distances, and no sooner than the server wants."""

    def __init__(self, per_minute: int | None) -> None:
        self._distance = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._line = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for one's turn."""
        now = asyncio.get_running_loop().time
        async with self._line:
            while (wait := self._next - now()) > 0:
                await asyncio.sleep(wait)
            self._next = now() + self._distance

    def hold(self, seconds: float) -> None:
        """Send nothing for so long."""
        self._next = max(self._next, asyncio.get_running_loop().time() + seconds)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an attempt brought no answer."""

    reason: str
    passing: bool = False
    """It may be over by the next attempt."""
    again: bool = True
    """It may be over by another run: it doesn't lie in the request itself."""
    everywhere: bool = False
    """Every request would meet it."""
    wait: float = 0.0
    """For how many seconds the server wants no other request."""

    def after(self, attempts: int) -> str:
        """The reason, with the number of attempts where more than one were worth it."""
        if not self.passing:
            return self.reason
        return f"{self.reason}, after {attempts} attempts" if attempts > 1 else f"{self.reason}, after 1 attempt"


def diagnose(error: Exception, secrets: Sequence[str]) -> Trouble:
    """What an error of an attempt means, in words without the secrets."""
    match error:
        case TimeoutError():
            return Trouble("the server gave no answer within resources.teacher.timeout_s", passing=True)
        case openai.APIStatusError():
            return _refusal(error, secrets)
        case openai.APIConnectionError():
            return Trouble(f"the connection to the server failed; {SEE_URL}", passing=True)
        case UnicodeEncodeError():
            return Trouble("the prompt holds a character that cannot be sent (half of a surrogate pair)", again=False)
        case _:
            return Trouble(f"the server's response isn't one to a chat; {SEE_URL}", passing=True)


def _refusal(error: openai.APIStatusError, secrets: Sequence[str]) -> Trouble:
    status = error.status_code
    said = f"{status}: {_words(error, secrets)}"
    if _too_long(error):
        return Trouble(f"even without shots the prompt is too long ({said})", again=False)
    if status == 401:  # Its words are left out: they can hold parts of the key.
        return Trouble("the server refused the key (401); set OPENAI_API_KEY to one that it knows", everywhere=True)
    if status == 403:
        allowed = "see what the key in OPENAI_API_KEY is allowed to use"
        return Trouble(f"the server refused access ({said}); {allowed}", everywhere=True)
    if status == 404 and "model" not in said:
        return Trouble(f"the server has no chats at this address ({said}); {SEE_URL}", everywhere=True)
    if status == 404:
        known = "set teacher.model to a name that it knows"
        return Trouble(f"the server has no such model ({said}); {known}", everywhere=True)
    if error.code == "insufficient_quota":
        return Trouble(f"the account of OPENAI_API_KEY has no quota left ({said})", everywhere=True)
    if status in (408, 409, 429) or status >= 500:
        wait = _retry_after(error)
        if wait > LONGEST_WAIT_S:
            return Trouble(f"the server wants a pause of {wait:.0f} s ({said})")
        return Trouble(f"the server answered {said}", passing=True, wait=wait)
    return Trouble(f"the server refused the request ({said})", again=False)


def _too_long(error: Exception) -> bool:
    return (
        isinstance(error, openai.APIStatusError)
        and error.status_code in (400, 413, 422)
        and (error.code == "context_length_exceeded" or TOO_LONG.search(_words(error)) is not None)
    )


def _retry_after(error: openai.APIStatusError) -> float:
    """What the server asks for in seconds; 0 if it doesn't."""
    try:
        wait = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return 0.0
    return wait if wait > 0 else 0.0


def _words(error: openai.APIStatusError, secrets: Sequence[str] = ()) -> str:
    """What the server said, without the secrets, as one line of limited length."""
    body = error.body
    said = str(((body.get("message") or body.get("detail")) if isinstance(body, dict) else body) or "no reason given")
    for secret in secrets:
        said = said.replace(secret, "***")
    return " ".join(said.split())[:300].rstrip(".")


def _mean(logprobs: Sequence[float]) -> float:
    return sum(logprobs) / len(logprobs) if logprobs else math.nan


def make(order: EngineOrder, pause: float = FIRST_PAUSE_S) -> Engine:
    """The server's model of the order. Raises ConfigError and ModelError for what is missing or can't be."""
    config = order.config
    if config.constrain != "none":
        raise ConfigError(f"teacher.constrain={config.constrain} needs teacher.engine=vllm; set it to none for openai.")
    if not order.model:
        raise ConfigError(
            "teacher.model is empty; for teacher.engine=openai, set it to the server's name for the model."
        )
    key, url = (os.environ.get(name, "").strip() for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"))
    if not key:
        raise ModelError(
            "the environment variable OPENAI_API_KEY is not set; set it to the server's key, or to any word where the"
            " server needs none."
        )
    if not (key.isascii() and key.isprintable()):
        raise ModelError("the environment variable OPENAI_API_KEY holds a character that no key has.")
    if url and not _is_address(url):
        raise ModelError(
            "the environment variable OPENAI_BASE_URL is no address; one looks like http://localhost:8000/v1."
        )
    return OpenAIEngine(order, key, url or OPENAI_URL, pause)


def _is_address(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
        return url.isprintable() and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
