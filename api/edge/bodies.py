"""Reads request bodies within limits: of their size, of their time, and of the process's memory."""

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from api.edge.gzip_bodies import Decompression, decompression
from api.edge.memory_budget import OverBudget, Share
from api.edge.state import edge_state
from api.problems.problem import Refusal

BODY_SECONDS = 30.0
"""Seconds in which a body must have come; a slower client holds memory that others need."""
COST = 2
"""Bytes of memory for each of a body: it is copied into the queue's format, and that into its payload."""
STEP = 64 * 1024
"""Bytes of a body that count as progress, at least."""
STEPS = 32
"""Parts of an announced body that count as progress: with a part each STALLED seconds it keeps its memory."""

SHARE = "batchline.share"
"""Where a request's scope has its share of the budget."""


async def read(request: Request, max_bytes: int) -> bytearray:
    """The body, decompressed. Its memory counts until `release`, or until the request is over.

    Refuses a large one before it has been read, by what was announced or by what came so far. Raises Refusal;
    InvalidRequest for broken gzip; OverBudget where there is no memory for it now.
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
    if share.revoked:  # while its last part came
        share.resize(COST * len(body))
    share.settle()
    return body


async def _received(
    request: Request, share: Share, size: int, max_bytes: int, gzip: Decompression | None
) -> bytearray:
    body = bytearray()
    came = 0
    step = max(STEP, size // STEPS)
    due = STEP  # until then nothing protects it: what is announced costs its sender nothing
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        came += len(part)
        for piece in gzip.pieces(part) if gzip else (part,):
            body += piece
            if max(came, len(body)) > max_bytes:  # gzip can also be without end and without content
                raise _too_large(max_bytes)
            if len(body) > size:  # its length was not announced
                size = len(body) + STEP
                share.resize(COST * size)
            if gzip:
                await asyncio.sleep(0)  # other requests come in between
        if not message.get("more_body", False):
            if gzip:
                gzip.end()
            return body
        if came >= due:
            due = came + step
            share.progress()


def share_of(request: Request) -> Share:
    """The memory that the request's body has."""
    share: Share = request.scope[SHARE]
    return share


def release(scope: Scope) -> None:
    """Gives back the memory of a request's body, if it has any."""
    share: Share | None = scope.get(SHARE)
    if share is not None:
        share.release()


def _too_large(max_bytes: int) -> Refusal:
    return Refusal("payload-too-large", f"a request may have {max_bytes} bytes", max_bytes=max_bytes)
