"""Retries of calls to Redis and to the storage: a batch waits for them and never fails because of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from structlog.typing import FilteringBoundLogger

from jobs.errors import QueueUnavailable, StorageUnavailable
from jobs.process.backoff import Backoff
from jobs.store.outage import Outage

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between attempts."""


class Retries:
    """The retries of one batch. An outage is logged once when it begins and once when it is over."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._redis = Outage(log)
        self._storage = Outage(log, "storage unavailable, retrying", "storage available again")

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """Calls until Redis and the storage answer, with growing pauses. Raises other errors."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                answer = await call()
            except QueueUnavailable as error:
                self._redis.failed(error)
            except StorageUnavailable as error:
                self._storage.failed(error)
            else:
                self._redis.succeeded()
                self._storage.succeeded()
                return answer
            backoff.failed()
            await asyncio.sleep(backoff.pause)
