"""The roster of live workers: each writes a heartbeat, everybody can read them all."""

from typing import Any

import msgspec
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.integrity import Integrity
from jobs.monitoring.failures import FailureReason
from jobs.monitoring.histograms import LATENCIES, Counts, fitting
from jobs.store import lua

HEARTBEAT_EVERY = 1.0
"""Seconds between heartbeats."""
HEARTBEAT_TTL = 5.0
"""Seconds after which a silent worker is not counted any more."""

RESTARTS = ("crashed", "hung", "cancelled", "memory", "max_requests", "max_resident")
"""Why an engine was started again. `cancelled`: all jobs of its batch were. `memory`: an input found none.

The last two are keys of the model in `models.toml`: such an engine was replaced between two batches."""


class Heartbeat(msgspec.Struct, kw_only=True):
    """What a worker says of itself, once a second."""

    id: str
    """Unique to the process and model: `host:pid:` and four hex digits, for containers may share the rest."""
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
    """For how long the engine has been restarting; 0 while it is not."""
    load_seconds: float = 0.0
    """That the model took to load, the last time; 0 where it is not known."""
    device: str = ""
    dtype: str = ""
    defaults: dict[str, Any] = {}
    """Parameters of a job that does not give them, as the model's own files ask for."""
    leases: int = 0
    """Jobs claimed and not finished."""
    window: int = 0
    """Items claimed and not yet in the engine."""
    engine_restarts: int = 0
    """Engines that were started again, for whatever reason."""
    restart_reasons: dict[str, int] = {}
    """The same by reason, one of RESTARTS."""
    lost_leases: int = 0
    refused_results: int = 0
    """Results that came after their lease was lost."""
    jobs: dict[str, int] = {}
    """Jobs ended since the start, by state."""
    inputs: int = 0
    """Inputs of the jobs among them that succeeded or failed."""
    inputs_failed: dict[str, int] = {}
    """Those of them that failed, by the kind of the failure."""
    failures: list[FailureReason] = []
    """The latest reasons, oldest first."""
    items: int = 0
    """Items run since the start."""
    batches: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    """Tokens run since the start, without and with padding."""
    compute_seconds: float = 0.0
    starved_seconds: float = 0.0
    """That the engine had nothing to compute although inputs waited."""
    items_per_second: float = 0.0
    """While computing; a moving average."""
    budget: int = 0
    """Tokens, padding and all, at which a micro-batch is full; 0 where only its number of items ends it."""
    threads: int = 0
    """That compute one forward pass; 0 where it is not known."""
    queued: Counts = []
    """Jobs that ran, by how long they had waited: counts for each bucket of `histograms.LATENCIES`."""
    queued_sum: float = 0.0
    """Seconds, of all of them."""
    compute: Counts = []
    compute_sum: float = 0.0
    """As `queued`, by how long the forward passes of their micro-batches took."""
    total: Counts = []
    total_sum: float = 0.0
    """As `queued`, but of all jobs that ended, by how long that was after they were accepted."""
    batch_items: Counts = []
    """Micro-batches by `histograms.BATCH_ITEMS`; the sum is `items`."""
    batch_padding: Counts = []
    batch_padding_sum: float = 0.0
    """Micro-batches by `histograms.PADDING`."""
    age: float = 0.0
    """Seconds since it was written, by the server's clock; filled in by who reads it."""

    def __post_init__(self) -> None:
        for name in ("queued", "compute", "total"):
            setattr(self, name, fitting(getattr(self, name), LATENCIES))

    @property
    def retired(self) -> bool:
        """Whether its model could not be loaded: its jobs wait, and it is loaded again at `engine_retry`."""
        return self.engine == "retired"


class Roster:
    """Reads and writes heartbeats."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis
        self._beat = lua.Script(redis, "heartbeat")
        self._integrity = Integrity(redis, ())

    async def write(self, heartbeat: Heartbeat) -> None:
        await self._integrity.run(
            self._beat,
            [keys.HEARTBEAT.of(heartbeat.id), keys.ROSTER.pattern],
            [heartbeat.id, msgspec.msgpack.encode(heartbeat), int(HEARTBEAT_TTL * 1000)],
        )

    async def remove(self, worker_id: str) -> None:
        async with self._integrity.intact(), self.redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.HEARTBEAT.of(worker_id))
            pipe.zrem(keys.ROSTER.pattern, worker_id)
            await pipe.execute()

    async def read(self) -> list[Heartbeat]:
        """The live workers, oldest first; those that fell silent are struck off."""
        async with self._integrity.intact():
            async with self.redis.pipeline(transaction=False) as pipe:
                pipe.zrange(keys.ROSTER.pattern, 0, -1, withscores=True)
                pipe.time()
                members, (seconds, microseconds) = await pipe.execute()
            if not members:
                return []
            written = {member.decode(): at / 1000 for member, at in members}
            found = await self.redis.mget([keys.HEARTBEAT.of(worker_id) for worker_id in written])
            silent = [worker_id for worker_id, data in zip(written, found, strict=True) if data is None]
            if silent:
                await self.redis.zrem(keys.ROSTER.pattern, *silent)
        beats = []
        for at, data in zip(written.values(), found, strict=True):
            if data is not None and (beat := _decode(data)) is not None:
                beat.age = max(0.0, seconds + microseconds / 1e6 - at)
                beats.append(beat)
        return sorted(beats, key=lambda beat: beat.started)


def _decode(data: bytes) -> Heartbeat | None:
    """None for the heartbeat of another version, as there may be during an upgrade."""
    try:
        return msgspec.msgpack.decode(data, type=Heartbeat)
    except msgspec.MsgspecError:
        return None
