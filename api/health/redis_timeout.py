"""How long a page waits for Redis before it says that Redis is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobs.errors import QueueUnavailable

REDIS_TIMEOUT = 1.5
"""Seconds that Redis has to answer: nothing on a page may be older than 2 s without its being said."""


@asynccontextmanager
async def redis_timeout() -> AsyncIterator[None]:
    """Raises QueueUnavailable where Redis stands still."""
    try:
        async with asyncio.timeout(REDIS_TIMEOUT):
            yield
    except TimeoutError:
        raise QueueUnavailable(f"Redis did not answer within {REDIS_TIMEOUT:g} s") from None
