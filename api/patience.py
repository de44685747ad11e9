"""How long a page waits for Redis before it says that Redis is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobs.errors import QueueUnavailable

PATIENCE = 1.5
"""Seconds that Redis has to answer: nothing on a page may be older than 2 s without its being said."""


@asynccontextmanager
async def patience() -> AsyncIterator[None]:
    """Raises QueueUnavailable where Redis stands still."""
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError:
        raise QueueUnavailable(f"Redis did not answer within {PATIENCE:g} s") from None
