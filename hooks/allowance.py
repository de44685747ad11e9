"""Allowance: how many test events and repeated deliveries an owner may ask for in a minute."""

import math

from hooks import keys
from jobs.errors import LimitExceeded
from jobs.ledger.shard import Shard
from jobs.store.lua import script

MOST = 300
"""Most in a window, of one owner."""
WINDOW = 60.0
"""Seconds from the first one."""
POLICY = "webhook-requests"


class Allowance:
    """Counts them. Raises QueueUnavailable."""

    def __init__(self, first: Shard) -> None:
        """`first` is `Shards.first`."""
        self._shard = first

    async def take(self, owner: str) -> None:
        """Counts one of the owner. Raises LimitExceeded."""
        wait = await self._shard.run(
            script("take_allowance", keys.ROOM),
            asked=self._shard.key(keys.ASKED, owner),
            most=MOST,
            window=int(1000 * WINDOW),
        )
        if wait:
            seconds = math.ceil(wait / 1000)
            raise LimitExceeded(
                f"the limit of {MOST} tests and repeated deliveries in {WINDOW:g} s is reached;"
                f" retry in {seconds} s",
                policy=POLICY,
                retry_after=seconds,
            )
