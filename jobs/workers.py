"""The roster of live workers: each writes a heartbeat, everybody can read them all."""

import msgspec
from arq.connections import ArqRedis

from jobs import keys, lua
from jobs.connection import availability

HEARTBEAT_EVERY = 1.0
"""Seconds between heartbeats."""
HEARTBEAT_TTL = 5.0
"""Seconds after which a silent worker is not counted any more."""


class Heartbeat(msgspec.Struct, kw_only=True):
    """What a worker says of itself, once a second."""

    id: str
    """Unique to the process and model."""
    model: str
    host: str
    pid: int
    started: float
    """Unix seconds."""
    engine: str
    """`loading`, `ready`, `busy`, `restarting` or `stopping`."""
    device: str = ""
    dtype: str = ""
    leases: int = 0
    """Jobs claimed and not finished."""
    window: int = 0
    """Items claimed and not yet in the engine."""
    engine_restarts: int = 0
    lost_leases: int = 0
    refused_results: int = 0
    """Results that came after their lease was lost."""
    jobs: dict[str, int] = {}
    """Jobs ended since the start, by state."""
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
    """Padded cost at which a micro-batch is full; 0 while not known."""
    threads: int = 0
    """That the engine computes with; 0 while not known."""
    queued: list[int] = []
    """Jobs ended, by how long they waited: counts per bucket of `jobs.metrics.LATENCIES`, and overflow."""
    compute: list[int] = []
    """How long they computed."""
    total: list[int] = []
    """From their submit to their end."""
    silent: float = 0.0
    """Seconds since it was written, by the server's clock; filled in by who reads it."""


class Roster:
    """Reads and writes heartbeats."""

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis
        self._beat = lua.script(redis, "beat")

    async def write(self, heartbeat: Heartbeat) -> None:
        async with availability():
            await self._beat(
                keys=[keys.HEARTBEAT.of(heartbeat.id), keys.ROSTER.pattern],
                args=[heartbeat.id, msgspec.msgpack.encode(heartbeat), int(HEARTBEAT_TTL * 1000)],
            )

    async def remove(self, worker_id: str) -> None:
        async with availability(), self.redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.HEARTBEAT.of(worker_id))
            pipe.zrem(keys.ROSTER.pattern, worker_id)
            await pipe.execute()

    async def read(self) -> list[Heartbeat]:
        """The live workers, oldest first; those that fell silent are struck off."""
        async with availability():
            async with self.redis.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.zrange(keys.ROSTER.pattern, 0, -1, withscores=True)
                (seconds, micros), roster = await pipe.execute()
            if not roster:
                return []
            now = seconds + micros / 1e6
            ids = [member.decode() for member, _ in roster]
            found = await self.redis.mget([keys.HEARTBEAT.of(worker_id) for worker_id in ids])
            silent = [worker_id for worker_id, data in zip(ids, found, strict=True) if data is None]
            if silent:
                await self.redis.zrem(keys.ROSTER.pattern, *silent)
        beats = []
        for data, (_, last) in zip(found, roster, strict=True):
            if data is not None and (beat := _decode(data)) is not None:
                beat.silent = max(0.0, now - last / 1000)
                beats.append(beat)
        return sorted(beats, key=lambda beat: beat.started)


def _decode(data: bytes) -> Heartbeat | None:
    """None for the heartbeat of another version, as there may be during an upgrade."""
    try:
        return msgspec.msgpack.decode(data, type=Heartbeat)
    except msgspec.MsgspecError:
        return None
