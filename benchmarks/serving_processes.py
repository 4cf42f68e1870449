"""What `benchmarks/serving.py` runs in processes of their own: `python benchmarks/serving_processes.py ROLE ...`.

- `load URL CLIENTS SECONDS [RATE]`: clients that ask without a pause, or RATE times a second all together; prints
  latencies and failures as JSON.
- `baseline FOLDER PORT`: what a user would write: FastAPI and `model.generate`, one request at a time.
- `echo FOLDER PORT`: our endpoint before a model that answers at once.
"""

import asyncio
import json
import math
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from mckd_ray.records import Example, Label, Outcome

TOKENS_A_SENTENCE = (8, 12, 16, 20, 24, 28)
_SENTENCE = "the small cat that she saw in an old house near its garden sleeps and a dog of theirs barks"


def sentences() -> list[list[str]]:
    """Sentences of several lengths, the same for every system."""
    words = _SENTENCE.split()
    return [
        [words[(start + place) % len(words)] for place in range(length)]
        for start in range(10)
        for length in TOKENS_A_SENTENCE
    ]


def load(url: str, clients: int, seconds: float, rate: float = math.inf) -> None:
    """Ask with so many clients, each with its next request when it has the last answer, and when `rate` allows it."""
    import aiohttp

    latencies: list[float] = []
    failures: list[str] = []
    models: list[str] = []
    bodies = [{"tokens": tokens} for tokens in sentences()]

    async def client(session: aiohttp.ClientSession, number: int, end: float) -> None:
        turn, due = number, end - seconds + number / rate
        while time.perf_counter() < end:
            await asyncio.sleep(due - time.perf_counter())
            turn, due = turn + 1, due + clients / rate
            started = time.perf_counter()
            try:
                async with session.post(f"{url}/v1/parse", json=bodies[turn % len(bodies)]) as answer:
                    found = await answer.json(content_type=None)
                    if answer.status != 200:
                        failures.append(f"{answer.status}: {found}")
                        continue
            except (aiohttp.ClientError, TimeoutError) as error:
                failures.append(repr(error))
                continue
            latencies.append(time.perf_counter() - started)
            if found["model"] not in models:
                models.append(found["model"])

    async def go() -> float:
        started = time.perf_counter()
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.gather(*(client(session, number, started + seconds) for number in range(clients)))
        return time.perf_counter() - started

    took = asyncio.run(go())
    print(json.dumps({"latencies": latencies, "failures": failures, "models": models, "seconds": took}))


def baseline(folder: str, port: int) -> None:
    """The same student behind FastAPI, with one thread, one request at a time.

    It writes freely, but as much as a legal answer has: a piece for each word, and the end.
    """
    import torch
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    greedy = {"do_sample": False, "use_cache": True}
    app, turn = FastAPI(), threading.Lock()

    class Body(BaseModel):
        tokens: list[str]

    @app.post("/v1/parse")
    def parse(body: Body) -> dict[str, Any]:
        inputs, pieces = tokenizer(" ".join(body.tokens), return_tensors="pt"), len(body.tokens) + 1
        with turn:
            ids = model.generate(**inputs, min_new_tokens=pieces, max_new_tokens=pieces, **greedy)
        return {"model": "baseline", "output": tokenizer.decode(ids[0])}

    uvicorn.run(app, port=port, log_level="warning")


class Echo:
    """Acts like a `ModelReplica` whose model takes no time."""

    def __init__(self, folder: str) -> None:
        from mckd_ray.serving.models import find

        self._model = find(folder)

    async def label(self, examples: Sequence[Example]) -> Any:
        """A flat tree for each example."""
        from mckd_ray.serving.backend import Labelled

        trees = (" ".join(f"(X {token})" for token in example.tokens) for example in examples)
        return Labelled([Label("", f"(S {tree})", "", Outcome.OK, math.nan) for tree in trees], self._model)

    async def model(self) -> Any:
        """The model whose name it bears."""
        return self._model


def echo(folder: str, port: int) -> None:
    """Serve `Echo` until the process is told to stop."""
    import signal

    from ray import serve

    from mckd_ray.serving.deployment import assemble
    from mckd_ray.serving.serve import NAME, Address, serving
    from mckd_ray.serving.settings import ServingConfig

    config = ServingConfig(model=folder, access_log="/dev/null")
    with serving(config, Address("127.0.0.1", port)):
        serve.run(assemble(Echo, (folder,), config, "constituency"), name=NAME, route_prefix="/")
        print("ready", flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


def main() -> None:
    """Run the role that the command line names."""
    role, *arguments = sys.argv[1:]
    if role == "load":
        load(arguments[0], int(arguments[1]), *map(float, arguments[2:]))
    elif role == "baseline":
        baseline(arguments[0], int(arguments[1]))
    elif role == "echo":
        echo(arguments[0], int(arguments[1]))


if __name__ == "__main__":
    main()
