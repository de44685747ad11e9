"""Waiting for a condition with a deadline, instead of sleeping."""

import asyncio
import time
from collections.abc import Awaitable, Callable

SHORTEST, LONGEST = 0.01, 0.1
"""Seconds between two questions."""
SHARE = 4
"""A question is followed by a pause this many times as long: a request each 10 ms would take the processor
from the process that is waited for."""


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 60.0) -> None:
    """Asks again and again until the condition holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if await condition():
            return
        answered = time.monotonic()
        assert answered < deadline, f"{condition} did not hold within {seconds} s"
        await asyncio.sleep(min(LONGEST, max(SHORTEST, SHARE * (answered - asked))))
