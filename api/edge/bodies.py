"""Reads request bodies within limits of size, time and the process's memory."""

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from api.edge.gzip_bodies import Decompression, decompression
from api.edge.memory_budget import OverBudget, Share
from api.edge.state import edge_state
from api.problems.problem import Refusal

BODY_SECONDS = 30.0
"""Seconds within which a body must be received. A slower client would hold memory that others need."""
COST = 2
"""Bytes of memory per byte of a body, which is copied into the queue's format and then into a payload."""
STEP = 64 * 1024
"""Minimum bytes of a body that count as progress."""
STEPS = 32
"""Parts of a body of known length. A body keeps its memory if one part arrives every STALLED seconds."""

SHARE = "batchline.share"
"""The key in a request's scope of its share of the memory budget."""


async def read(request: Request, max_bytes: int) -> bytearray:
    """Returns the decompressed body. Its memory stays reserved until `release` or the end of the request.

    Refuses a too large body early, by its announced length or by the bytes received so far. Raises Refusal;
    InvalidRequest for invalid gzip; OverBudget if the budget has no memory for the body now.
    """
    gzip = decompression(request)
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isdecimal() else STEP
    if size > max_bytes:
        raise _too_large(max_bytes)
    share: Share | None = None
    try:
        async with asyncio.timeout(BODY_SECONDS) as deadline:
            share = edge_state(request.scope).budget.reserve(COST * size, lambda: deadline.reschedule(0.0))
            request.scope[SHARE] = share
            body = await _received(request, share, size, max_bytes, gzip)
    except TimeoutError:
        if share is not None and share.revoked:
            raise OverBudget from None
        raise Refusal("request-timeout", f"the body did not come within {BODY_SECONDS:g} s") from None
    if share.revoked:  # revoked while the last part arrived: reserve the memory again
        share.resize(COST * len(body))
    share.settle()
    return body


async def _received(
    request: Request, share: Share, size: int, max_bytes: int, gzip: Decompression | None
) -> bytearray:
    body = bytearray()
    came = 0
    step = max(STEP, size // STEPS)
    due = STEP  # before this the share may be revoked, because an announced length costs the client nothing
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        came += len(part)
        for piece in gzip.pieces(part) if gzip else (part,):
            body += piece
            if max(came, len(body)) > max_bytes:  # gzip may also be endless without any content
                raise _too_large(max_bytes)
            if len(body) > size:  # the length was not announced
                size = len(body) + STEP
                share.resize(COST * size)
            if gzip:
                await asyncio.sleep(0)  # let other requests run
        if not message.get("more_body", False):
            if gzip:
                gzip.end()
            return body
        if came >= due:
            due = came + step
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


def _too_large(max_bytes: int) -> Refusal:
    return Refusal("payload-too-large", f"a request may have {max_bytes} bytes", max_bytes=max_bytes)
