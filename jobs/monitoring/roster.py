"""The roster of live workers: each worker writes a heartbeat; any process can read them all."""

from typing import Any

import msgspec

from jobs.ledger import keys
from jobs.ledger.shard import Shard
from jobs.monitoring.failures import FailureReason
from jobs.monitoring.histograms import LATENCIES, Counts, fitting
from jobs.store.lua import script

HEARTBEAT_EVERY = 1.0
"""Seconds between heartbeats."""
HEARTBEAT_TTL = 5.0
"""Seconds without a heartbeat after which a worker is no longer counted."""

RESTART_REASONS = ("crashed", "hung", "cancelled", "memory", "max_requests", "max_resident")
"""Reasons for an engine's restart. `cancelled`: all jobs of its batch were cancelled. `memory`: an input got
no memory. The last two are limits of the model in `models.toml`: the engine was replaced between batches."""


class Heartbeat(msgspec.Struct, kw_only=True):
    """A worker's report, written once a second."""

    id: str
    """Unique per process and model: `host:pid:` and four hex digits, as containers may share host and pid."""
    model: str
    host: str
    pid: int
    started: float
    """Unix seconds."""
    engine: str
    """`loading`, `ready`, `busy`, `restarting`, `retired` or `stopping`."""
    engine_fault: str = ""
    """Why the model is retired, in one sentence; empty while it is served."""
    engine_retry: float = 0.0
    """Unix seconds at which a retired model is loaded again; 0 while it is served."""
    restarting_seconds: float = 0.0
    """Seconds since the engine's restart began; 0 if it is not restarting."""
    load_seconds: float = 0.0
    """Seconds that the model last took to load; 0 if unknown."""
    device: str = ""
    dtype: str = ""
    backend: str = ""
    """The library that computes the model; empty if it is not known."""
    defaults: dict[str, Any] = {}
    """Default parameters from the model's own files."""
    leases: int = 0
    """Jobs claimed and not finished."""
    window: int = 0
    """Items claimed and not yet in the engine."""
    engine_restarts: int = 0
    """Engine restarts for any reason."""
    restart_reasons: dict[str, int] = {}
    """Engine restarts by reason, one of RESTART_REASONS."""
    lost_leases: int = 0
    refused_results: int = 0
    """Results refused because their lease was lost."""
    jobs: dict[str, int] = {}
    """Jobs ended since the start, by state."""
    inputs: int = 0
    """Inputs of those jobs that succeeded or failed."""
    inputs_failed: dict[str, int] = {}
    """Failed inputs of those jobs, by kind of failure."""
    failures: list[FailureReason] = []
    """The latest reasons of failures, oldest first."""
    items: int = 0
    """Items run since the start."""
    batches: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    """Tokens run since the start, without and with padding."""
    compute_seconds: float = 0.0
    starved_seconds: float = 0.0
    """Seconds in which the engine had nothing to compute although inputs waited."""
    items_per_second: float = 0.0
    """Moving average over the time spent computing."""
    budget: int = 0
    """Tokens, including padding, at which a micro-batch is full; 0 if only the number of items is limited."""
    threads: int = 0
    """Threads that compute one forward pass; 0 if unknown."""
    queued: Counts = []
    """Jobs that ran, by waiting time: counts for each bucket of `histograms.LATENCIES`."""
    queued_sum: float = 0.0
    """Sum of their waiting times in seconds."""
    compute: Counts = []
    compute_sum: float = 0.0
    """Like `queued`, by duration of the forward passes of their micro-batches."""
    total: Counts = []
    total_sum: float = 0.0
    """Like `queued`, for all jobs that ended, by time from acceptance to end."""
    batch_items: Counts = []
    """Micro-batches by `histograms.BATCH_ITEMS`; the sum is `items`."""
    batch_padding: Counts = []
    batch_padding_sum: float = 0.0
    """Micro-batches by `histograms.PADDING`."""
    age: float = 0.0
    """Seconds since the heartbeat was written, by the server's clock; set by the reader."""

    def __post_init__(self) -> None:
        for name in ("queued", "compute", "total"):
            setattr(self, name, fitting(getattr(self, name), LATENCIES))

    @property
    def retired(self) -> bool:
        """Whether the model could not be loaded. Its jobs wait; loading is retried at `engine_retry`."""
        return self.engine == "retired"


class Roster:
    """Reads and writes heartbeats, which are in the first shard."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._redis = shard.redis

    async def write(self, heartbeat: Heartbeat) -> None:
        await self._shard.run(
            script("heartbeat"),
            heartbeat=self._shard.key(keys.HEARTBEAT, heartbeat.id),
            worker=heartbeat.id,
            beat=msgspec.msgpack.encode(heartbeat),
            lifetime=int(HEARTBEAT_TTL * 1000),
        )

    async def remove(self, worker_id: str) -> None:
        async with self._shard.integrity.intact(), self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(self._shard.key(keys.HEARTBEAT, worker_id))
            pipe.zrem(self._shard.key(keys.ROSTER), worker_id)
            await pipe.execute()

    async def read(self) -> list[Heartbeat]:
        """Returns the live workers, oldest first; removes workers without a heartbeat from the roster."""
        roster = self._shard.key(keys.ROSTER)
        async with self._shard.integrity.intact():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zrange(roster, 0, -1, withscores=True)
                pipe.time()
                members, (seconds, microseconds) = await pipe.execute()
            if not members:
                return []
            written = {member.decode(): at / 1000 for member, at in members}
            found = await self._redis.mget([self._shard.key(keys.HEARTBEAT, each) for each in written])
            silent = [worker_id for worker_id, data in zip(written, found, strict=True) if data is None]
            if silent:
                await self._redis.zrem(roster, *silent)
        beats = []
        for at, data in zip(written.values(), found, strict=True):
            if data is not None and (beat := _decode(data)) is not None:
                beat.age = max(0.0, seconds + microseconds / 1e6 - at)
                beats.append(beat)
        return sorted(beats, key=lambda beat: beat.started)


def _decode(data: bytes) -> Heartbeat | None:
    """Returns the heartbeat, or None if it is another version's, as during an upgrade."""
    try:
        return msgspec.msgpack.decode(data, type=Heartbeat)
    except msgspec.MsgspecError:
        return None
