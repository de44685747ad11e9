"""Queues: the base of Ledger and Claims: counting jobs and the sweep.

Every transition of a job is one script and one round trip, on arq's own keys. The header of each script in
`jobs/ledger/scripts/` lists what it reads and writes.
"""

from collections.abc import Iterable

import msgspec
from arq.connections import ArqRedis

from jobs.errors import QueueDamaged
from jobs.ledger import keys
from jobs.ledger.integrity import Integrity
from jobs.ledger.leasing import late_ms
from jobs.ledger.wire import record_head
from jobs.settings import Settings
from jobs.store import lua

SWEEP_EVERY = 1.0
"""Seconds between sweeps, in every worker and every API process."""

SWEEP_LIMIT = 1_000
"""Most jobs that one sweep moves for each reason, so that it does not block the server for long."""


class Depth(msgspec.Struct, frozen=True):
    """A model's unfinished jobs, and the bytes of their payloads."""

    waiting: int
    deferred: int
    running: int
    bytes: int
    oldest_ms: int = 0
    """Milliseconds since the oldest of the next 64 jobs was accepted."""
    late: int = 0
    """Running jobs whose lease renewal is late."""
    damage: str = ""
    """If another program's data prevents counting: the key and what it holds."""


class Queues:
    """The durable queues of some models on one Redis. Its methods raise QueueUnavailable."""

    def __init__(self, redis: ArqRedis, settings: Settings, models: Iterable[str]) -> None:
        self.redis = redis
        self.settings = settings
        self.models = tuple(models)
        self.integrity = Integrity(redis, self.models)
        self._run = self.integrity.run
        self._depth = lua.Script(redis, "depth")
        self._sweep = lua.Script(redis, "sweep")
        self._ttl = int(settings.result_ttl * 1000)
        self._ended = record_head()
        self._prefixes = keys.of_job("")

    async def depth(self, *only: str) -> dict[str, Depth]:
        """Returns the unfinished jobs of all models, or of some, and the age of the oldest that waits."""
        models = only or self.models
        counted = [key.of(model) for model in models for key in (keys.QUEUE, keys.BYTES)]
        try:
            counts = await self._run(self._depth, counted, [keys.JOB.of(""), late_ms(self.settings)])
        except QueueDamaged as error:  # count the other models one by one
            if len(models) == 1:
                return {models[0]: Depth(0, 0, 0, 0, damage=str(error))}
            return {model: (await self.depth(model))[model] for model in models}
        return {model: Depth(*counts[6 * i : 6 * i + 6]) for i, model in enumerate(models)}

    async def sweep(self, model: str) -> tuple[int, int, int]:
        """Requeues jobs whose lease ended, expires overdue jobs, ends aborted jobs; returns how many of each.

        Workers and the API call it every SWEEP_EVERY seconds, so that deadlines are kept without a worker.
        If there was no sweep for three times that, for example because Redis was stopped, leases are extended
        so that live workers can renew them.
        """
        given_back, expired, aborted = await self._run(
            self._sweep,
            [*keys.of_queue(model), keys.ABORT.pattern, keys.DOORBELL.of(model), keys.SWEPT.of(model)],
            [
                SWEEP_LIMIT,
                self._ttl,
                keys.EVENTS,
                *self._prefixes,
                self._ended,
                self._ended,
                int(3 * SWEEP_EVERY * 1000),
                int(self.settings.lease * 1000) // 2,
            ],
            many_jobs=True,
        )
        return given_back, expired, aborted
