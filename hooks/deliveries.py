"""Deliveries: events on their way to one receiver each, and the log of those that have ended.

1. `put` writes them, due at once. Putting one again changes nothing.
2. `lease` gives a sender some that are due. If it dies, they are due again when the lease ends.
3. `settle` notes a try: delivered, to be tried again, or undeliverable.
4. One that has ended is kept for `webhook_keep`; `resend` makes it due again.
5. `redirect` gives a pending one the address that its receiver has by now.

Each host has an order of its own, so that none waits for another. Methods raise QueueUnavailable.
"""

import hashlib
import math
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from hooks import keys
from hooks.delivery import FIELDS, Delivery, Try, decoded
from hooks.events import Event
from jobs.errors import HookNotFound, InvalidRequest
from jobs.ledger.integrity import Named
from jobs.ledger.keys import Key
from jobs.ledger.shard import Shard
from jobs.store.lua import script

Outcome = Literal["delivered", "failed", "undeliverable"]
COUNTED = ("delivered", "failed", "undeliverable", "dropped", "malformed")
"""What is counted: how tries ended; undeliverable events that were deleted, because an owner had too many;
and entries of the outbox that could not be read."""

MAX_UNDELIVERABLE = 10_000
"""Most undeliverable deliveries of one owner; the oldest beyond are deleted and counted."""

LATER = 500
"""Milliseconds for which deliveries of slow owners wait."""


class Target(NamedTuple):
    """A receiver."""

    url: str
    host: str
    """As `urls.place`."""
    endpoint: str = ""
    """Id of the endpoint; empty for the webhook of a single job or batch."""


class NewDelivery(NamedTuple):
    """A delivery to be written."""

    owner: str
    event: Event
    target: Target

    @property
    def id(self) -> str:
        """The same whenever the same event is written for the same receiver."""
        place = f"{self.event.id} {self.target.endpoint}".encode()
        return f"dlv_{hashlib.sha256(place).hexdigest()[:24]}"


class Room(NamedTuple):
    """How much a sender takes of one host."""

    most: int
    fails: bool = False
    """Whether the host fails: what has waited for too long is given up."""
    pause: float = 0.0
    """Seconds for which no sender takes anything."""


class Leased(NamedTuple):
    """A delivery that a sender has to try."""

    delivery: Delivery
    is_overdue: bool
    """Whether it waited too long for a host that is left alone: it is given up."""


class Waiting(NamedTuple):
    """What has not been delivered yet, for the metrics."""

    oldest_ms: int
    """Milliseconds for which the delivery that is due for longest has waited; 0 if none is due."""
    counts: dict[str, int]
    """Number of each of COUNTED so far."""


class Deliveries:
    """The deliveries of all owners."""

    def __init__(self, first: Shard) -> None:
        """`first` is `Shards.first`."""
        self._shard = first
        self._redis = first.redis
        settings = first.settings
        self._fixed: dict[str, Any] = {
            "hosts": first.key(keys.HOSTS),
            "counts": first.key(keys.COUNTS),
            "deliveries": first.key(keys.DELIVERY),
            "due": first.key(keys.DUE),
            "logs": first.key(keys.LOG),
            "undeliverable": first.key(keys.UNDELIVERABLE),
            "kept": int(settings.webhook_keep * 1000),
            "most_logged": settings.webhook_log,
            "most_undeliverable": MAX_UNDELIVERABLE,
            "lease": int(2000 * settings.webhook_timeout + 1000),
            "later": LATER,
            "patience": int(1000 * sum(settings.retry_delays)),
        }

    async def put(self, new: Sequence[NewDelivery]) -> int:
        """Writes deliveries that are not known yet; returns how many."""
        each: list[Any] = []
        for one in new:
            event, target = one.event, one.target
            fields = {
                "event": event.id,
                "type": event.type,
                "subject": event.subject,
                "body": event.body.decode(),  # Redis' msgpack knows no bytes
                "sha256": event.digest,
                "url": target.url,
                "endpoint": target.endpoint,
            }
            flat = [part for pair in fields.items() for part in pair]
            each += [one.id, one.owner, target.host, msgspec.msgpack.encode(flat)]
        also = self._also(*(one.target.host for one in new))
        return int(await self._run("put_deliveries", each, also=also)) if each else 0

    async def lease(
        self, most: int, of_host: int, known: Mapping[str, Room], slow: Collection[str] = ()
    ) -> list[Leased]:
        """Leases due deliveries: `of_host` of each host, but of `known` hosts as many as there is room.

        Those of `slow` owners are due a moment later.
        """
        each: list[Any] = []
        for host, room in known.items():
            each += [host, room.most, int(room.fails), math.ceil(1000 * room.pause)]
        leased, damaged = await self._run(
            "lease_deliveries", each, most=most, of_host=of_host, slow=_flags(slow)
        )
        for name in damaged:  # other hosts go on
            self._shard.integrity.damaged(name.decode(), "holds another program's data")
        return [Leased(decoded(found[0], _pairs(found[2])), bool(found[1])) for found in leased]

    async def settle(
        self, delivery: Delivery, outcome: Outcome, attempt: Try, wait: float | None = None
    ) -> None:
        """Notes how a try ended. `wait`: seconds until the next one."""
        await self._run(
            "settle_delivery",
            also=self._also(delivery.host, delivery_id=delivery.id),
            id=delivery.id,
            owner=delivery.owner,
            host=delivery.host,
            outcome=outcome,
            tried=msgspec.json.encode(attempt),
            wait=int(1000 * (wait or 0)),
        )

    async def resend(self, delivery: Delivery, target: Target) -> Delivery:
        """Makes the delivery due now at the target, with all its tries; returns it. Raises HookNotFound."""
        if await self._redirect(delivery, target, again=True) == -1:
            raise _missing(delivery.id)
        return await self.read(delivery.id, sees=None)

    async def redirect(self, delivery: Delivery, target: Target) -> None:
        """Makes a pending delivery due now at the target, with the tries that are left."""
        await self._redirect(delivery, target, again=False)

    async def _redirect(self, delivery: Delivery, target: Target, *, again: bool) -> int:
        given = {"id": delivery.id, "owner": delivery.owner, "url": target.url, "host": target.host}
        also = self._also(delivery.host, target.host, delivery_id=delivery.id)
        return int(await self._run("redirect_delivery", also=also, **given, again=int(again)))

    async def read(self, delivery_id: str, *, sees: str | None) -> Delivery:
        """Returns a delivery. Raises HookNotFound, also if it is of an owner that the caller does not see."""
        [found] = await self._read([delivery_id])
        if found is None or sees not in (None, found.owner):
            raise _missing(delivery_id)
        return found

    async def page(
        self, owner: str, limit: int, after: str | None = None, *, undeliverable: bool = False
    ) -> tuple[list[Delivery], str | None]:
        """Returns the owner's newest deliveries, or those after `after`, and the next page's `after`.

        Raises InvalidRequest if `after` is not in the list, or no longer.
        """
        kind = keys.UNDELIVERABLE if undeliverable else keys.LOG
        name = self._shard.key(kind, owner)
        async with self._shard.integrity.intact({name: kind}):
            start = 0
            if after is not None:
                rank = await self._redis.zrevrank(name, after[:100])
                if rank is None:
                    raise InvalidRequest("cursor: the list does not contain this delivery any more")
                start = int(rank) + 1
            ids = [each.decode() for each in await self._redis.zrevrange(name, start, start + limit)]
        found = await self._read(ids[:limit])
        return [each for each in found if each is not None], ids[limit - 1] if len(ids) > limit else None

    async def waiting(self) -> Waiting:
        """Returns what the metrics show."""
        also = self._also()
        async with self._shard.integrity.intact(also), self._redis.pipeline(transaction=False) as pipe:
            pipe.zrange(self._fixed["hosts"], 0, 0, withscores=True)
            pipe.hgetall(self._fixed["counts"])
            pipe.time()
            first, stored, (seconds, microseconds) = await pipe.execute()
        now = seconds * 1000 + microseconds // 1000
        found = {name: stored.get(name.encode(), b"") for name in COUNTED}
        counts = {name: int(value) if value.isdigit() else 0 for name, value in found.items()}
        return Waiting(max(0, now - int(first[0][1])) if first else 0, counts)

    async def count(self, what: str, number: int) -> None:
        """Adds to a counter."""
        async with self._shard.integrity.intact(self._also()):
            await self._redis.hincrby(self._fixed["counts"], what, number)  # type: ignore[misc]

    async def _read(self, ids: list[str]) -> list[Delivery | None]:
        names = [self._shard.key(keys.DELIVERY, each[:100]) for each in ids]
        also = dict.fromkeys(names, keys.DELIVERY)
        async with self._shard.integrity.intact(also), self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hmget(name, list(FIELDS))
            stored = await pipe.execute()
        return [
            decoded(each, dict(zip(FIELDS, values, strict=True))) if values[0] is not None else None
            for each, values in zip(ids, stored, strict=True)
        ]

    def _also(self, *hosts: str, delivery_id: str = "") -> dict[str, Key]:
        """The keys that a call uses."""
        used = [(keys.HOSTS, ""), (keys.COUNTS, ""), *((keys.DUE, host) for host in hosts)]
        if delivery_id:
            used.append((keys.DELIVERY, delivery_id))
        return {self._shard.key(kind, name): kind for kind, name in used}

    async def _run(
        self, name: str, each: Sequence[Any] = (), /, also: Named | None = None, **given: Any
    ) -> Any:
        given = {**self._fixed, **given}
        which = script(name, keys.ROOM)
        return await self._shard.run(which, "", each, also=also or self._also(), **given)


def now_ms() -> int:
    """Unix ms by this machine's clock, for what is only shown."""
    return int(time.time() * 1000)


def _pairs(flat: list[bytes]) -> dict[str, bytes]:
    return {flat[i].decode(errors="replace"): flat[i + 1] for i in range(0, len(flat), 2)}


def _flags(names: Collection[str]) -> bytes:
    return msgspec.msgpack.encode(dict.fromkeys(names, True)) if names else b""


def _missing(delivery_id: str) -> HookNotFound:
    return HookNotFound(f"no delivery has the id {delivery_id[:60]!r}, or not any more")
