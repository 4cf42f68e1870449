"""OpenAI-compatible servers on this machine: a small one that answers by a rule, in a thread, and vLLM's own."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Ask:
    """A request as it came in."""

    body: dict[str, Any]
    authorization: str
    at: float
    """When, on the server's clock."""
    question: str
    """The last paragraph of the last message."""
    attempt: int
    """How often that has been asked, with this one."""


class CutError(Exception):
    """Raised by a rule, cuts the connection."""


Rule = Callable[[Ask], Awaitable[web.Response]]


class ChatServer:
    """The server, which runs within `with`, and counts."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._at_once = 0
        self.asks: list[Ask] = []
        self.attempts: Counter[str] = Counter()
        """How often each question was asked."""
        self.most_at_once = 0
        self.url = ""

    def __enter__(self) -> "ChatServer":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._runner.cleanup, self._loop.shutdown_default_executor):
            asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._handle)
        # A client that goes away ends the handling of its request.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        question = str(body["messages"][-1]["content"]).split("\n\n")[-1]
        self.attempts[question] += 1
        ask = Ask(body, request.headers["Authorization"], self._loop.time(), question, self.attempts[question])
        self.asks.append(ask)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._rule(ask)
        except CutError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        finally:
            self._at_once -= 1


def completion(*texts: str | None, logprobs: bool = True, **usage: Any) -> web.Response:
    """A chat completion with a choice for each text; each of its words is a token, of log-probability -0.5."""
    choices = [
        {
            "index": index,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": text},
            "logprobs": {"content": [{"token": word, "logprob": -0.5, "top_logprobs": []} for word in text.split()]}
            if logprobs and text
            else None,
        }
        for index, text in enumerate(texts)
    ]
    body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": choices}
    return web.json_response({**body, "usage": usage} if usage else body)


def refusal(status: int, message: str, headers: dict[str, str] | None = None, **more: Any) -> web.Response:
    """An error as OpenAI's servers word it; `more`: its `code` or `param`."""
    return web.json_response({"error": {"message": message, **more}}, status=status, headers=headers)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def vllm_server(folder: Path, model: Path, name: str, key: str) -> Iterator[str]:
    """The address of vLLM's own server of the model, without a GPU, in processes of its own; its log is in `folder`."""
    template, log, port = folder / "chat.jinja", folder / "log", free_port()
    template.write_text("{% for message in messages %}{{ message.content }}\n{% endfor %}")
    options = {"model": model, "served-model-name": name, "chat-template": template, "api-key": key}
    options |= {"host": "127.0.0.1", "port": port}
    arguments = [str(part) for option, value in options.items() for part in (f"--{option}", value)]
    environment = {
        "HF_HUB_OFFLINE": "1",
        "TORCHDYNAMO_DISABLE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager", *arguments],
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _until_healthy(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _until_healthy(url: str, process: "subprocess.Popen[bytes]", log: Path, seconds: float = 400) -> None:
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(f"vLLM's server did not start:\n{log.read_text()[-4000:]}")
