"""Calls Redis again until it answers: the worker outlives an outage with what it holds in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from jobs.errors import QueueDamaged, QueueUnavailable
from jobs.process.backoff import Backoff
from jobs.store.outage import Outage

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between tries."""

T = TypeVar("T")


class RedisRetry:
    """Says once that Redis went away, and once that it is back. A stop ends it for all who do not insist."""

    def __init__(self, log: FilteringBoundLogger, stopping: asyncio.Event) -> None:
        self._stopping = stopping
        self._outage = Outage(log)

    async def __call__(self, call: Callable[..., Awaitable[T]], *args: object, insist: bool = False) -> T:
        """The call's answer. Raises QueueUnavailable only when the worker is stopping and nobody insists."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                answer = await call(*args)
            except QueueUnavailable as error:
                if self._stopping.is_set() and not insist:
                    raise
                if not isinstance(error, QueueDamaged):  # which was logged with its key
                    self._outage.failed(error)
                backoff.failed()
                await asyncio.sleep(backoff.pause)
            else:
                self._outage.succeeded()
                return answer
