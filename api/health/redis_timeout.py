"""How long a page waits for Redis before it reports that Redis cannot be reached."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobs.errors import QueueUnavailable

REDIS_TIMEOUT = 1.5
"""Seconds within which Redis must answer. A page must report if its figures are older than 2 s."""


@asynccontextmanager
async def redis_timeout() -> AsyncIterator[None]:
    """A block that raises QueueUnavailable if it takes longer than REDIS_TIMEOUT."""
    try:
        async with asyncio.timeout(REDIS_TIMEOUT):
            yield
    except TimeoutError:
        raise QueueUnavailable(f"Redis did not answer within {REDIS_TIMEOUT:g} s") from None
