"""WaitLimit: at most so many requests of an owner wait for jobs, or follow their events, at a time.

The count is exact in one process. Processes learn of each other's waits once a second, so over several of
them an owner may exceed its limit by what began within the last second. No wait costs a round trip.
"""

import asyncio
import collections
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import structlog
from prometheus_client import Counter

from jobs.errors import LimitExceeded, QueueUnavailable
from jobs.ledger import waits
from jobs.ledger.limiting import WAITS
from jobs.ledger.shard import Shard
from jobs.owners import Sender
from jobs.store.outage import Outage

log = structlog.get_logger(__name__)

EXCHANGE_EVERY = 1.0
"""Seconds between exchanges with the other processes."""

USED_FOR = 60.0
"""Seconds after an owner's newest wait for which the process takes part in the exchange: servers without keys
need none."""

RETRY_AFTER = 1
"""Seconds after which to retry: it is not known when a wait ends."""


class WaitLimit:
    """The waits of named owners in this process, and what is known of the other processes."""

    def __init__(self, shard: Shard, process: str, limited: Counter) -> None:
        """`shard` is the first one, `process` as in `Subscriber.process`, `limited` counts refusals."""
        self._limited = limited
        self._shard = shard
        self._process = process
        self._here: collections.Counter[str] = collections.Counter()
        self._elsewhere: collections.Counter[str] = collections.Counter()
        self._used = -USED_FOR

    def check(self, sender: Sender) -> None:
        """Raises LimitExceeded if the owner may not begin another wait."""
        limit = sender.limits.waits
        if limit is not None and self._here[sender.owner] + self._elsewhere[sender.owner] >= limit:
            self._limited.labels(WAITS.name).inc()
            raise LimitExceeded(
                f"the limit of {limit:,} {WAITS.unit} is reached; retry in {RETRY_AFTER} s",
                policy=WAITS.name,
                retry_after=RETRY_AFTER,
            )

    @contextmanager
    def hold(self, sender: Sender) -> Iterator[None]:
        """Counts a wait while it lasts. Raises LimitExceeded. The anonymous owner has no limit."""
        if not sender.owner:
            yield
            return
        self.check(sender)
        self._used = time.monotonic()
        self._here[sender.owner] += 1
        try:
            yield
        finally:
            self._here[sender.owner] -= 1
            if not self._here[sender.owner]:
                del self._here[sender.owner]

    async def run(self) -> NoReturn:
        """Never returns. While Redis cannot be reached, the others' counts are those last known."""
        outage = Outage(log)
        while True:
            await asyncio.sleep(EXCHANGE_EVERY)
            if not self._here and time.monotonic() - self._used > USED_FOR:
                self._elsewhere.clear()
                continue
            try:
                self._elsewhere = await waits.exchange(self._shard, self._process, self._here)
                outage.succeeded()
            except QueueUnavailable as error:
                outage.failed(error)
