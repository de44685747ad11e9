"""Calls Redis again until it answers: the worker outlives an outage with what it holds in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from jobs.errors import QueueDamaged, QueueUnavailable

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between tries."""

T = TypeVar("T")


class RedisRetry:
    """Says once that Redis went away, and once that it is back. A stop ends it for all who do not insist."""

    def __init__(self, log: FilteringBoundLogger, stopping: asyncio.Event) -> None:
        self._log = log
        self._stopping = stopping
        self._away = False

    async def __call__(self, call: Callable[..., Awaitable[T]], *args: object, insist: bool = False) -> T:
        """The call's answer. Raises QueueUnavailable only when the worker is stopping and nobody insists."""
        pause = FIRST_PAUSE
        while True:
            try:
                answer = await call(*args)
            except QueueUnavailable as error:
                if self._stopping.is_set() and not insist:
                    raise
                if not self._away and not isinstance(error, QueueDamaged):  # which was logged with its key
                    self._log.warning("Redis is away, trying again", error=str(error))
                    self._away = True
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if self._away:
                    self._log.info("Redis is back")
                    self._away = False
                return answer
