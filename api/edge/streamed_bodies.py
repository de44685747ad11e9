"""Bodies that are passed on while they are received, such as uploaded files: they may exceed the memory.

What is held of them does not grow, so their clients may take long, as long as they keep sending.
"""

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from api.edge.bodies import MEMORY_PER_BYTE, SHARE, STEP
from api.edge.gzip_bodies import decompression
from api.edge.memory_budget import OverBudget, Share
from api.edge.state import edge_state
from api.problems.problem import Refusal

PROGRESS_BYTES = 1024 * 1024
"""Bytes that a client must send within PROGRESS_SECONDS, about 35 KB a second, or the rest of the body."""
PROGRESS_SECONDS = 30.0


async def pieces(request: Request, memory: int, max_bytes: int, detail: str) -> AsyncIterator[bytes]:
    """Yields the decompressed body as it arrives, in pieces of at most 64 KiB.

    `memory` bytes are reserved until `bodies.release` or the end of the request, for what is held of it.
    Refuses a body of more than `max_bytes` with the detail, if possible by its announced length. Raises
    Refusal; InvalidRequest for invalid gzip; OverBudget if there is no memory now, or if others need it while
    the client sends nothing; ClientDisconnect.
    """
    gzip = decompression(request)
    if announced(request) > max_bytes:
        raise Refusal("payload-too-large", detail, max_bytes=max_bytes)
    clock = _Clock()
    if gzip is None and announced(request):
        memory = min(memory, MEMORY_PER_BYTE * announced(request))
    share: Share = edge_state(request.scope).budget.reserve(memory, clock.stop)
    request.scope[SHARE] = share
    length = received = counted = 0
    more = True
    while more:
        message = await clock.receive(request, share)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part, more = message.get("body", b""), message.get("more_body", False)
        received += len(part)
        clock.note(received)
        if received >= counted + STEP or not more:
            counted = received
            share.progress()
        for piece in gzip.pieces(part) if gzip else (part,):
            length += len(piece)
            if max(received, length) > max_bytes:  # gzip may also be endless without any content
                raise Refusal("payload-too-large", detail, max_bytes=max_bytes)
            yield piece
            if gzip:
                await asyncio.sleep(0)  # let other requests run
    if gzip:
        gzip.end()
    share.settle()


def announced(request: Request) -> int:
    """The announced length of a body; 0 if there is none."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


class _Clock:
    """Ends the wait for a client that sends too slowly, or when others need its memory.

    Only time in which the client is waited for counts, not that in which its bytes are passed on.
    """

    def __init__(self) -> None:
        self._left = PROGRESS_SECONDS
        self._next = PROGRESS_BYTES
        self._timeout: asyncio.Timeout | None = None

    def note(self, received: int) -> None:
        if received >= self._next:
            self._next = received + PROGRESS_BYTES
            self._left = PROGRESS_SECONDS

    def stop(self) -> None:
        """Called by the budget, which has released the memory."""
        if self._timeout is not None:
            self._timeout.reschedule(0.0)

    async def receive(self, request: Request, share: Share) -> Message:
        if share.revoked:
            raise OverBudget
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._left) as self._timeout:
                return await request.receive()
        except TimeoutError:
            if share.revoked:
                raise OverBudget from None
            raise Refusal(
                "request-timeout",
                f"less than {PROGRESS_BYTES} bytes of the body were received in {PROGRESS_SECONDS:g} s",
            ) from None
        finally:
            self._timeout = None
            self._left -= time.monotonic() - began
