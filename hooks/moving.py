"""Mover: moves the entries of each shard's outbox to deliveries in shard 0, each at least once.

1. It reads the oldest entries of a shard.
2. It writes a delivery for each receiver. Their ids follow from the entry, so those that are known are left.
3. It deletes the entries. If it dies before, they are moved again.

One process at a time does it, so that they do not read the same entries. Nothing depends on that.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator

import structlog

from hooks import events, keys, outbox
from hooks.deliveries import Deliveries, NewDelivery, Target
from hooks.known import Known
from hooks.outbox import Ended
from hooks.store import Snapshot
from hooks.urls import Urls
from jobs.errors import QueueUnavailable
from jobs.ledger import keys as ledger_keys
from jobs.ledger.shard import Shard
from jobs.ledger.shards import Shards
from jobs.process import failpoints
from jobs.store.outage import Outage

log = structlog.get_logger(__name__)

ENTRIES = 100
"""Entries of a shard that are moved at once."""
POLL_EVERY = 0.2
"""Seconds between two looks at outboxes that were empty."""
AFTER_A_BUG = 2.0
"""Seconds after an unexpected error."""
LEARN_EVERY = 0.5
"""Seconds after which the number of shards is asked for, and the lock is renewed."""
LOCK_MS = 2_000
MAX_RECORD = 70_000
"""Bytes of a record that are read at most: its start has up to 64 KiB."""


class Mover:
    """Moves entries for ever, while no other process does."""

    def __init__(
        self, shards: Shards, deliveries: Deliveries, known: Known, urls: Urls, moved: Callable[[], object]
    ) -> None:
        """`moved` is called when deliveries were written."""
        self._shards = shards
        self._deliveries = deliveries
        self._known = known
        self._urls = urls
        self._moved = moved
        self._token = secrets.token_hex(8).encode()
        self._learned = -LEARN_EVERY
        self._is_mover = False

    async def run(self) -> None:
        """Never returns. Logs once when Redis becomes unavailable, and once when it is available again."""
        outage = Outage(log, "outbox cannot be read, retrying", "outbox can be read again")
        while True:
            pause = POLL_EVERY
            try:
                if await self.move():
                    self._moved()
                    pause = 0.0
                outage.succeeded()
            except QueueUnavailable as error:
                outage.failed(error)
            except Exception:  # after a bug, what it concerns is tried again
                log.exception("outbox cannot be moved")
                pause = AFTER_A_BUG
            await asyncio.sleep(pause)

    async def move(self) -> int:
        """Moves some entries of each shard; returns how many. Raises QueueUnavailable.

        If a shard cannot be reached, those of the others are moved.
        """
        if time.monotonic() - self._learned >= LEARN_EVERY:
            await self._shards.grow()
            self._is_mover = await self._lock()
            self._learned = time.monotonic()
        if not self._is_mover:
            return 0
        moved = await asyncio.gather(*map(self._move, self._shards), return_exceptions=True)
        faults = [each for each in moved if isinstance(each, BaseException)]
        for fault in faults:
            if not isinstance(fault, QueueUnavailable) or len(faults) == len(moved):
                raise fault
        return sum(each for each in moved if isinstance(each, int))

    async def _lock(self) -> bool:
        first = self._shards.first
        name = first.key(keys.MOVING)
        async with first.integrity.intact({name: keys.MOVING}):
            if await first.redis.set(name, self._token, px=LOCK_MS, nx=True):
                return True
            if await first.redis.get(name) != self._token:
                return False
            return bool(await first.redis.pexpire(name, LOCK_MS))

    async def _move(self, shard: Shard) -> int:
        name = shard.key(ledger_keys.OUTBOX)
        async with shard.integrity.intact():
            entries = await shard.redis.xrange(name, count=ENTRIES)
        if not entries:
            return 0
        known = await self._known.current()
        new: list[NewDelivery] = []
        malformed = 0
        for entry_id, fields in entries:
            try:
                ended = outbox.read(entry_id, await self._with_record(shard, fields))
            except ValueError as error:
                malformed += 1
                log.error("entry of the outbox cannot be read", entry=entry_id.decode(), error=str(error))
                continue
            event = events.of_end(shard.number, entry_id, ended)
            new += [NewDelivery(ended.owner, event, target) for target in self._targets(ended, known)]
        for start in range(0, len(new), ENTRIES):
            await self._deliveries.put(new[start : start + ENTRIES])
        if malformed:
            await self._deliveries.count("malformed", malformed)
        failpoints.reach("after_move")
        async with shard.integrity.intact():
            await shard.redis.xdel(name, *(entry_id for entry_id, _ in entries))
        return len(entries)

    def _targets(self, ended: Ended, known: Snapshot) -> Iterator[Target]:
        if ended.url is not None:
            yield self._urls.receiver(ended.url)
        if ended.wanted.endpoints:
            for endpoint in known.of_owner(ended.owner):
                if endpoint.wants(ended.event):
                    yield self._urls.receiver(endpoint.url, endpoint.id)

    async def _with_record(self, shard: Shard, fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """The fields of an entry that a worker of an older release wrote do not have the record."""
        if b"record" in fields or b"event" in fields or b"id" not in fields:
            return fields
        name = shard.key(ledger_keys.RESULT, fields[b"id"].decode(errors="replace"))
        async with shard.integrity.intact():
            return {**fields, b"record": await shard.redis.getrange(name, 0, MAX_RECORD)}
