"""`/v1/parse/bulk`: lines in, lines out, in order; as much in memory as is on its way through the model."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from mckd_ray.serving.bodies import lines
from mckd_ray.serving.inputs import Asked, InputReader
from mckd_ray.serving.refusals import RefusedError

GROUP = 64
"""Lines that go to the model together."""
GROUPS = 4
"""Groups on their way at once; the body is read on only when the oldest is answered."""
Answer = Callable[[Sequence[Asked]], Awaitable[list[str]]]
Row = tuple[int, Asked | RefusedError]


async def answer_lines(
    chunks: AsyncIterator[bytes], reader: InputReader, longest: int, answer: Answer
) -> AsyncIterator[bytes]:
    """A line of JSON for each line of the body that is not blank: a `schema.Result` or an `error`, and its `line`.

    A body that ends badly (too large, too slow) makes one last line that says so.
    """
    running: deque[asyncio.Task[bytes]] = deque()
    try:
        async for group in _groups(chunks, reader, longest):
            running.append(asyncio.create_task(_answer(group, answer)))
            if len(running) >= GROUPS:
                yield await running.popleft()
        while running:
            yield await running.popleft()
    except RefusedError as refusal:
        while running:
            yield await running.popleft()
        yield _line(refusal.as_data())
    finally:
        for task in running:
            task.cancel()


async def _groups(chunks: AsyncIterator[bytes], reader: InputReader, longest: int) -> AsyncIterator[list[Row]]:
    group: list[Row] = []
    number = 0
    async for line in lines(chunks, longest):
        number += 1
        if line is not None and not line.strip():
            continue
        group.append((number, _read(line, number, reader, longest)))
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group


def _read(line: bytes | None, number: int, reader: InputReader, longest: int) -> Asked | RefusedError:
    if line is None:
        return RefusedError(413, f"the line is longer than {longest} bytes", f"line {number}")
    try:
        return reader.line(line, number)
    except RefusedError as refusal:
        return refusal


async def _answer(group: Sequence[Row], answer: Answer) -> bytes:
    asked = [row for _, row in group if not isinstance(row, RefusedError)]
    try:
        results = iter(await answer(asked) if asked else [])
    except RefusedError as refusal:
        results = iter([json.dumps({"outcome": "failed", **refusal.as_data()})] * len(asked))
    written = [
        _line({"line": number, **row.as_data()})
        if isinstance(row, RefusedError)
        else f'{{"line": {number}, {next(results)[1:]}\n'.encode()
        for number, row in group
    ]
    return b"".join(written)


def _line(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode() + b"\n"
