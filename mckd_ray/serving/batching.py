"""Inputs of many requests, labelled together: batches of like length within a token budget, one at a time."""

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from mckd_ray.records import Example, Label
from mckd_ray.serving.settings import Batching

CHARACTERS_A_TOKEN = 4
"""For inputs that are text: about how many make a piece."""


@dataclass(eq=False)
class _Waiting:
    """An input that waits, and the future that gets its label."""

    example: Example
    length: int
    label: "asyncio.Future[Label]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batcher:
    """Gives a labeller one batch after the other, in a thread, while more inputs come in.

    A batch is the input that has waited longest, and those nearest to it in length, as far as the budget goes. Before
    it starts, it waits for as many inputs as the last one had: under load all clients come again at about the same
    time, and the first of them should not go alone. A lone client makes batches of one, and is never kept waiting.
    """

    def __init__(self, label: Callable[[Sequence[Example]], Sequence[Label]], batching: Batching) -> None:
        """`label` gives a label for each example, in order; it is called by one thread only."""
        self._label, self._batching = label, batching
        self._waiting: list[_Waiting] = []
        self._arrival = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="labeller")
        self._worker: asyncio.Task[None] | None = None
        self._last = 1
        self.idle = True
        """Whether no batch is with the labeller."""

    async def label(self, examples: Sequence[Example]) -> list[Label]:
        """One label for each example, in order. Who is cancelled before a batch begins leaves no work behind."""
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        ours = [_Waiting(example, length_of(example)) for example in examples]
        self._waiting.extend(ours)
        self._arrival.set()
        try:
            return list(await asyncio.gather(*(one.label for one in ours)))
        finally:
            if any(one.label.cancelled() for one in ours):
                self._waiting = [one for one in self._waiting if not one.label.cancelled()]

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._gather_some()
            batch = take_batch(self._waiting, self._batching.tokens)
            self._last = len(batch)
            self.idle = False
            try:
                labels = await loop.run_in_executor(self._thread, self._label, [one.example for one in batch])
            except Exception as error:
                _settle(batch, error)
            else:
                _settle(batch, labels)
            self.idle = True

    async def _gather_some(self) -> None:
        """Wait for an input, and then a little for as many as the last batch had."""
        while not self._waiting:
            self._arrival.clear()
            await self._arrival.wait()
        end = asyncio.get_running_loop().time() + self._batching.wait_s
        while len(self._waiting) < self._last and (left := end - asyncio.get_running_loop().time()) > 0:
            self._arrival.clear()
            try:
                await asyncio.wait_for(self._arrival.wait(), left)
            except TimeoutError:
                break
        if not self._waiting:  # All were cancelled meanwhile.
            await self._gather_some()


def length_of(example: Example) -> int:
    """The length of an input, in tokens or about that."""
    return len(example.tokens) or math.ceil(len(example.text) / CHARACTERS_A_TOKEN)


def take_batch(waiting: list[_Waiting], budget: int) -> list[_Waiting]:
    """Remove the next batch from `waiting`: its first, and the nearest to it in length, of at most `budget` tokens.

    Padding counts: the cost is the longest length times their number. The first is taken whatever it costs.
    """
    oldest, rest = waiting[0], waiting[1:]
    batch, longest = [oldest], oldest.length
    for one in sorted(rest, key=lambda other: abs(other.length - oldest.length)):
        longest = max(longest, one.length)
        if longest * (len(batch) + 1) > budget:
            break
        batch.append(one)
    taken = set(map(id, batch))
    waiting[:] = [one for one in waiting if id(one) not in taken]
    return batch


def _settle(batch: Sequence[_Waiting], result: Sequence[Label] | Exception) -> None:
    for place, one in enumerate(batch):
        if one.label.done():
            continue
        if isinstance(result, Exception):
            one.label.set_exception(result)
        else:
            one.label.set_result(result[place])
