"""Reading request bodies: of the right type, within a size, and in time."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from starlette.requests import Request

from mckd_ray.serving.refusals import RefusedError


def check_type(request: Request, allowed: Sequence[str]) -> None:
    """Raise RefusedError unless the body says that it is of one of the `allowed` media types, and not compressed."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in allowed:
        raise RefusedError(415, f"send the body as {' or '.join(allowed)}", "Content-Type")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RefusedError(415, "send the body without compression", "Content-Encoding")


async def parts(request: Request, most: int, seconds: float) -> AsyncIterator[bytes]:
    """The parts of the body as they come. Raises RefusedError beyond `most` bytes, or where one takes too long."""
    too_large = RefusedError(413, f"the body is larger than {most} bytes", "body")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise too_large
    stream, size = request.stream().__aiter__(), 0
    while True:
        try:
            part = await asyncio.wait_for(anext(stream), seconds)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise RefusedError(408, f"the body did not arrive within {seconds:g} s", "body") from None
        size += len(part)
        if size > most:
            raise too_large
        yield part


async def whole(request: Request, most: int, seconds: float) -> bytes:
    """The body; raises RefusedError beyond `most` bytes, or where it takes over `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            return b"".join([part async for part in parts(request, most, seconds)])
    except TimeoutError:
        raise RefusedError(408, f"the body did not arrive within {seconds:g} s", "body") from None


async def lines(chunks: AsyncIterator[bytes], longest: int) -> AsyncIterator[bytes | None]:
    """The lines of a body, without their ends; None for one of more than `longest` bytes, which is not kept."""
    buffer, skipping = bytearray(), False
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            buffer += part
            yield None if skipping or len(buffer) > longest else bytes(buffer)
            buffer.clear()
            skipping = False
        buffer += rest
        if len(buffer) > longest:
            buffer.clear()
            skipping = True
    if buffer or skipping:
        yield None if skipping else bytes(buffer)
