"""Reads request bodies within limits of size, time and the process's memory."""

import asyncio
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from api.edge.gzip_bodies import Decompression, decompression
from api.edge.memory_budget import OverBudget, Share
from api.edge.state import edge_state
from api.problems.problem import Refusal

MAX_REQUEST_BYTES = "BATCHLINE_MAX_REQUEST_BYTES"
"""The setting that limits the body of a submission."""
BODY_SECONDS = 30.0
"""Seconds within which a body must be received. A slower client would hold memory that others need."""
MEMORY_PER_BYTE = 2
"""Bytes of memory per byte of a body, which is copied into the queue's format and then into a payload.

A medium in base64 has three quarters of its bytes. While it is decoded there are two more copies of it, of
one body of this process at a time (`api/v1/submission/`)."""
STEP = 64 * 1024
"""Minimum bytes of a body that count as progress."""
STEPS = 32
"""Parts of a body of known length. A body keeps its memory if one part arrives every STALL_SECONDS."""

SHARE = "batchline.share"
"""The key in a request's scope of its share of the memory budget."""


Sink = Callable[[bytes], object]
"""Takes the parts of a body as they arrive. What it keeps must take no more memory than the body."""


async def read(request: Request, max_bytes: int, setting: str = "") -> bytearray:
    """Returns the decompressed body. As `receive`."""
    body = bytearray()
    await receive(request, max_bytes, body.extend, setting)
    return body


async def receive(request: Request, max_bytes: int, sink: Sink, setting: str = "") -> int:
    """Passes the decompressed body to a sink and returns its size.

    Its memory stays reserved until `release` or the end of the request. Refuses a too large body early, by
    its announced length or by the bytes received so far; `setting` names the limit. Raises Refusal;
    InvalidRequest for invalid gzip; OverBudget if the budget has no memory for the body now; and what the
    sink raises.
    """
    gzip = decompression(request)
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isdecimal() else STEP
    if size > max_bytes:
        raise _too_large(max_bytes, setting)
    share: Share | None = None
    try:
        async with asyncio.timeout(BODY_SECONDS) as deadline:
            budget = edge_state(request.scope).budget
            share = budget.reserve(MEMORY_PER_BYTE * size, lambda: deadline.reschedule(0.0))
            request.scope[SHARE] = share
            try:
                length = await _received(request, share, size, max_bytes, gzip, sink)
            except _TooLarge:
                raise _too_large(max_bytes, setting) from None
    except TimeoutError:
        if share is not None and share.revoked:
            raise OverBudget from None
        raise Refusal("request-timeout", f"the body was not received within {BODY_SECONDS:g} s") from None
    if share.revoked:  # revoked while the last part arrived: reserve the memory again
        share.resize(MEMORY_PER_BYTE * length)
    share.settle()
    return length


async def _received(
    request: Request, share: Share, size: int, max_bytes: int, gzip: Decompression | None, sink: Sink
) -> int:
    length = received = 0
    step = max(STEP, size // STEPS)
    # before the first report the share may be revoked: announcing a length costs the client nothing
    next_report = STEP
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        received += len(part)
        for piece in gzip.pieces(part) if gzip else (part,):
            length += len(piece)
            if max(received, length) > max_bytes:  # gzip may also be endless without any content
                raise _TooLarge
            if length > size:  # the length was not announced
                size = length + STEP
                share.resize(MEMORY_PER_BYTE * size)
            sink(piece)
            if gzip:
                await asyncio.sleep(0)  # let other requests run
        if not message.get("more_body", False):
            if gzip:
                gzip.end()
            return length
        if received >= next_report:
            next_report = received + step
            share.progress()


def share_of(request: Request) -> Share:
    """The share of memory of the request's body."""
    share: Share = request.scope[SHARE]
    return share


def release(scope: Scope) -> None:
    """Releases the memory of the request's body, if any."""
    share: Share | None = scope.get(SHARE)
    if share is not None:
        share.release()


class _TooLarge(Exception):
    """More bytes than allowed were received."""


def _too_large(max_bytes: int, setting: str) -> Refusal:
    detail = f"the body is larger than {max_bytes} bytes{f' ({setting})' if setting else ''}"
    return Refusal("payload-too-large", detail, max_bytes=max_bytes)
