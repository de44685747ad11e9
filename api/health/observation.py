"""Observation: the data that determine the health (`condition.py`), read from Redis at one moment."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from api.health.condition import FIRST, UNREACHABLE, condition
from api.health.failing import SAMPLES, WINDOW
from api.health.reasons import Condition
from api.health.redis_timeout import redis_timeout
from api.health.roster_cache import RosterCache
from jobs.errors import QueueUnavailable
from jobs.ledger.ledger import Ledger
from jobs.ledger.shard import Depth
from jobs.ledger.shards import PATIENCE
from jobs.monitoring.history import History, Series
from jobs.monitoring.roster import Heartbeat
from jobs.monitoring.work import Work
from jobs.settings import Settings
from jobs.store.connection import availability
from jobs.store.durability import is_forbidden
from jobs.store.store import Store


class Observation(NamedTuple):
    """The servers' INFO, the queues, the live workers and their recent work."""

    servers: Mapping[str, Mapping[str, Any] | None]
    """INFO of each server by its address (empty if there is only one); None if it does not answer."""
    unavailable: Sequence[int]
    """Shards that do not answer. Without the first, the workers are not known."""
    depths: Mapping[str, Depth]
    beats: Sequence[Heartbeat]
    history: Mapping[str, Series]
    work: Mapping[str, Work]
    """Each model's work within WINDOW."""

    def of(self, model: str) -> list[Heartbeat]:
        """The model's live workers."""
        return _of(self.beats, model)


@dataclass(frozen=True)
class Observer:
    """Reads observations and determines the condition. One for each process."""

    settings: Settings
    store: Store
    ledger: Ledger
    roster: RosterCache
    history: History

    async def observe(self) -> Observation | None:
        """Reads an observation. Returns None if Redis cannot be used or takes too long to answer."""
        shards = self.ledger.shards
        try:
            async with redis_timeout(), availability():
                servers, depths, first = await asyncio.gather(
                    self._servers(), shards.depth(), self._in_first_shard()
                )
        except (QueueUnavailable, RedisError):
            return None
        unavailable = shards.unavailable()
        if first is None:
            unavailable = sorted({FIRST, *unavailable})
            first = (), {model: Series(time.time(), [], {}) for model in shards.models}
        beats, history = first
        work = {model: series.lately(WINDOW, _of(beats, model))[0] for model, series in history.items()}
        return Observation(servers, unavailable, depths, beats, history, work)

    async def _in_first_shard(self) -> tuple[Sequence[Heartbeat], Mapping[str, Series]] | None:
        """The workers and the history; None if there are other shards and the first does not answer."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.roster.workers(fresh=True), await self.history.read(newest=SAMPLES)
        except (QueueUnavailable, TimeoutError):
            if len(self.ledger.shards) > 1:
                return None
            raise QueueUnavailable("the workers cannot be read") from None

    async def _servers(self) -> dict[str, Mapping[str, Any] | None]:
        primaries = await self.store.primaries()
        if len(primaries) == 1:
            return {name: await _whole_info(redis) for name, redis in primaries.items()}
        found = await asyncio.gather(*map(_info, primaries.values()))
        return dict(zip(primaries, found, strict=True))

    def judged(self, seen: Observation | None, *, sees: str | None) -> Condition:
        """The condition that the overview, /health/ready and `top` report, for a caller that sees so much."""
        if seen is None:
            return UNREACHABLE
        found = condition(self.settings, seen.servers, seen.unavailable, seen.depths, seen.beats, seen.work)
        return found.for_caller(sees)


async def _info(redis: Redis) -> Mapping[str, Any] | None:
    try:
        async with asyncio.timeout(PATIENCE), availability():
            return await _whole_info(redis)
    except (QueueUnavailable, RedisError, TimeoutError):
        return None


async def _whole_info(redis: Redis) -> Mapping[str, Any]:
    """The server's INFO; nothing if the server forbids it, as managed servers may."""
    try:
        info: Mapping[str, Any] = await redis.info()
    except ResponseError as error:
        if not is_forbidden(error):
            raise
        return {}
    return info


def _of(beats: Sequence[Heartbeat], model: str) -> list[Heartbeat]:
    return [beat for beat in beats if beat.model == model]
