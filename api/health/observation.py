"""Observation: the data that determine the health (`condition.py`), read from Redis at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from arq.connections import ArqRedis
from redis.exceptions import RedisError

from api.health.condition import UNREACHABLE, Condition, condition
from api.health.failing import SAMPLES, WINDOW
from api.health.redis_timeout import redis_timeout
from api.health.roster_cache import RosterCache
from jobs.errors import QueueUnavailable
from jobs.ledger.ledger import Ledger
from jobs.ledger.queues import Depth
from jobs.monitoring.history import History, Series
from jobs.monitoring.roster import Heartbeat
from jobs.monitoring.work import Work
from jobs.settings import Settings
from jobs.store.connection import availability


class Observation(NamedTuple):
    """Redis' INFO, the queues, the live workers and their recent work."""

    info: Mapping[str, Any]
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
    redis: ArqRedis
    ledger: Ledger
    roster: RosterCache
    history: History

    async def observe(self) -> Observation | None:
        """Reads an observation. Returns None if Redis cannot be used or takes too long to answer."""
        try:
            async with redis_timeout(), availability():
                info = await self.redis.info()
                depths = await self.ledger.depth()
                beats = await self.roster.workers(fresh=True)
                history = await self.history.read(newest=SAMPLES)
        except (QueueUnavailable, RedisError):
            return None
        work = {model: series.lately(WINDOW, _of(beats, model))[0] for model, series in history.items()}
        return Observation(info, depths, beats, history, work)

    def judged(self, seen: Observation | None) -> Condition:
        """The condition that the overview, /health/ready and `top` report."""
        if seen is None:
            return UNREACHABLE
        return condition(self.settings, seen.info, seen.depths, seen.beats, seen.work)


def _of(beats: Sequence[Heartbeat], model: str) -> list[Heartbeat]:
    return [beat for beat in beats if beat.model == model]
