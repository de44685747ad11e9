"""RedisRetry: retries calls to Redis, so that the worker and the jobs in its memory survive an outage."""

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
    """Logs the start and the end of an outage once each. A stop ends the retries, except with `insist`."""

    def __init__(self, log: FilteringBoundLogger, stopping: asyncio.Event) -> None:
        self._stopping = stopping
        self._outage = Outage(log)

    async def __call__(self, call: Callable[..., Awaitable[T]], *args: object, insist: bool = False) -> T:
        """Returns the call's answer. Raises QueueUnavailable only during a stop, without `insist`."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                answer = await call(*args)
            except QueueUnavailable as error:
                if self._stopping.is_set() and not insist:
                    raise
                if not isinstance(error, QueueDamaged):  # already logged with its key
                    self._outage.failed(error)
                backoff.failed()
                await asyncio.sleep(backoff.pause)
            else:
                self._outage.succeeded()
                return answer
