"""Integrity: finds which key of the queue holds another program's data after a command failed because of it.

Repairs nothing, because the data is not ours. Redis is queried only after an error.
"""

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import structlog
from redis.asyncio import Redis

from jobs.errors import QueueDamaged
from jobs.ledger import keys
from jobs.store.connection import availability

log = structlog.get_logger(__name__)

COUNTERS = (keys.BYTES, keys.INPUTS)
OF_A_MODEL = (keys.QUEUE, keys.DEADLINES, *COUNTERS, keys.DOORBELL, keys.HISTORY, keys.SAMPLED)
OF_ALL = (
    keys.RECENT,
    keys.ABORT,
    keys.ROSTER,
    keys.WATCHED,
    keys.OUTBOX,
    keys.SHARDS,
    keys.OWNED,
    keys.WAITS,
    keys.API_KEYS,
    keys.API_KEY_USES,
    keys.USAGE_OWNERS,
    keys.METERED_OWNERS,
)

LOG_EVERY = 60.0
"""Seconds between log lines about the same key."""

MAX_LOGGED = 1_000
"""Most keys whose last log time is kept."""

Named = Mapping[str, keys.Key]
"""Keys by their names in Redis."""
NONE: Named = MappingProxyType({})


class Damage(NamedTuple):
    """A key and what is wrong with it."""

    key: str
    fault: str


class Integrity:
    """Finds and reports damage to a shard's keys of some models and to the keys that all models share."""

    def __init__(self, redis: Redis, models: Iterable[str], tag: str) -> None:
        self._redis = redis
        self._kinds = {key.of(model, tag): key for model in models for key in OF_A_MODEL}
        self._kinds |= {key.of("", tag): key for key in OF_ALL}
        self._logged: dict[str, float] = {}

    async def run(
        self, call: Callable[[], Awaitable[Any]], *, many_jobs: bool = False, also: Named = NONE
    ) -> Any:
        """Runs a script and returns its answer. Raises QueueUnavailable.

        `also` are further keys that it uses, of jobs or of other rooms.

        With `many_jobs` (jobs that the caller can also send one by one) it raises redis-py's ResponseError if
        the damaged key belongs to one of the jobs.
        """
        try:
            async with availability():
                return await call()
        except QueueDamaged as error:
            named = await self.named(error, also)
            if named.key or not many_jobs:
                raise named from None
        try:  # retry once: the key may have been deleted before it was found
            async with availability():
                return await call()
        except QueueDamaged as error:
            raise error.__cause__ or error from None

    @asynccontextmanager
    async def intact(self, also: Named = NONE) -> AsyncIterator[None]:
        """Like `availability`, with the damaged key in the error and in the log. `also` as in `run`."""
        try:
            async with availability():
                yield
        except QueueDamaged as error:
            raise await self.named(error, also) from None

    async def named(self, error: QueueDamaged, also: Named = NONE) -> QueueDamaged:
        """Returns the error with its key, unless that belongs to a single job; also logs it."""
        damages = await self.find(also) or [Damage("", str(error))]
        for damage in damages:
            self._say(damage)
        return QueueDamaged(f"{damages[0].key} {damages[0].fault}".strip(), key=damages[0].key)

    def damaged(self, key: str, fault: str) -> QueueDamaged:
        """Returns the error for a key of a single job; also logs it."""
        self._say(Damage(key, fault))
        return QueueDamaged(f"{key} {fault}", key=key)

    async def find(self, also: Named = NONE) -> list[Damage]:
        """Returns every key that holds unexpected data. Raises QueueUnavailable."""
        kinds = {**self._kinds, **also}
        async with availability(), self._redis.pipeline(transaction=False) as pipe:
            for name, key in kinds.items():
                pipe.type(name)
                if key in COUNTERS:
                    pipe.get(name)
            answers = iter(await pipe.execute(raise_on_error=False))
        found = []
        for name, key in kinds.items():
            kind = next(answers).decode()
            value = next(answers) if key in COUNTERS else None
            if kind not in (key.type, "none"):
                found.append(Damage(name, f"holds a {kind} where a {key.type} belongs"))
            elif isinstance(value, bytes) and not value.removeprefix(b"-").isdigit():
                found.append(Damage(name, "holds no whole number"))
        return found

    def _say(self, damage: Damage) -> None:
        now = time.monotonic()
        if now - self._logged.get(damage.key, -math.inf) > LOG_EVERY:
            if len(self._logged) >= MAX_LOGGED:  # keys of jobs, whose number is unbounded
                self._logged.clear()
            self._logged[damage.key] = now
            log.error("foreign data under a key of the queue, retrying", **damage._asdict())
