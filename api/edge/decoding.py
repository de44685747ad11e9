"""Decoding of request bodies: which ones a thread decodes, so that the event loop stays free."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

R = TypeVar("R")

LIGHT_BYTES = 16 * 1024
"""Bytes up to which a body is decoded at once, whatever its structure."""
THREAD_BYTES = 256 * 1024
"""Bytes from which on a thread decodes a body. Decoding a smaller one takes less time than using a thread."""
MAX_LIGHT_STRUCTURE = 4_000
"""Brackets and commas from which on a body between these two sizes is decoded like a large one."""

_one_at_a_time = asyncio.Semaphore(1)


def is_heavy(body: bytearray) -> bool:
    """Whether a thread should decode the JSON."""
    if len(body) <= LIGHT_BYTES:
        return False
    return len(body) >= THREAD_BYTES or sum(map(body.count, (b"[", b"{", b","))) > MAX_LIGHT_STRUCTURE


async def in_thread(work: Callable[..., R], *given: Any) -> R:
    """Runs it in a thread. Decoding holds the GIL: several at once would block the event loop."""
    async with _one_at_a_time:
        return await asyncio.to_thread(work, *given)
