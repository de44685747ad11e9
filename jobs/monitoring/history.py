"""History: one sample each 5 s of each model's last 15 minutes, so that charts survive restarts.

API processes and workers all try once a second to add a sample; the first one succeeds. A sample holds the
work since the previous one: the differences of the counters in the workers' heartbeats.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import msgspec
from msgspec.structs import replace
from redis.exceptions import ResponseError

from jobs.errors import QueueDamaged, QueueUnavailable
from jobs.ledger import keys
from jobs.ledger.shard import Depth
from jobs.ledger.shards import Shards
from jobs.monitoring.roster import Heartbeat, Roster
from jobs.monitoring.work import Work
from jobs.store.connection import availability
from jobs.store.lua import script

EVERY = 5.0
"""Shortest time between samples, in seconds."""
GATE_MS = 4_500
"""Less than EVERY, because the next writer may check half a second later."""
MAX_GAP = 2 * EVERY
"""Maximum seconds that a gap between samples counts if all workers are new: their work must be recent."""
MAX_SAMPLES = 200
"""Samples kept per model: more than 15 minutes."""
LIFETIME_MS = 20 * 60_000
"""Lifetime of the keys after the newest sample."""
NEW_WORKER = 15.0
"""Seconds after its start within which all of a worker's work counts as new; allows for different clocks."""


class Sample(msgspec.Struct, array_like=True, frozen=True):
    """The queue's depth at the time of the sample, and the work since the previous sample."""

    depth: Depth
    workers: int
    work: Work
    all_new: bool = False
    """Whether all workers had started since the previous sample."""


class _Queue(msgspec.Struct, array_like=True, frozen=True):
    """A sample without its work, which takes most of the time to decode."""

    depth: Depth


_DECODE_QUEUE = msgspec.msgpack.Decoder(_Queue).decode


class Moment(msgspec.Struct, frozen=True):
    """A sample with its time: `at` in Unix seconds, `seconds` in which its work was done (0 for the first).

    `seconds` is the time since the previous sample, or less after a gap without workers.
    """

    at: float
    seconds: float
    sample: Sample


class Series(msgspec.Struct, frozen=True):
    """A model's samples, oldest first; `now` in Unix seconds by the server's clock."""

    now: float
    moments: list[Moment]
    seen: dict[str, Work]
    """Each worker's counters at the newest sample."""

    def lately(self, seconds: float, beats: Sequence[Heartbeat]) -> tuple[Work, float]:
        """Returns the work of about the last `seconds` until now, and the seconds that it covers."""
        recent = [moment for moment in self.moments if moment.seconds and self.now - moment.at < seconds]
        work = Work()
        for moment in recent:
            work += moment.sample.work
        since = self.moments[-1].at if self.moments else self.now
        work += done_since(self.seen, beats, since)
        begins = [max(self.moments[0].at if self.moments else self.now, self.now - seconds)]
        begins += [moment.at - moment.seconds for moment in recent[:1]]
        if not self.seen.keys().isdisjoint(beat.id for beat in beats):
            begins.append(since)  # they worked while no samples were taken
        return work, self.now - min(begins)

    def with_now(self, depth: Depth, beats: Sequence[Heartbeat]) -> "Series":
        """Returns the series with one more sample for now, which is not written: the queue's current depth.

        Its work includes the newest sample's: heartbeats are written once a second, so the rate over a
        shorter time would be random.
        """
        last = self.moments[-1] if self.moments else Moment(self.now, 0.0, Sample(depth, 0, Work()))
        work, seconds = done_since(self.seen, beats, last.at), self.now - last.at
        if seconds > MAX_GAP and _all_new(beats, self.seen):
            seconds = MAX_GAP
        else:
            work, seconds = work + last.sample.work, seconds + last.seconds
        return replace(
            self, moments=[*self.moments, Moment(self.now, seconds, Sample(depth, len(beats), work))]
        )


class History:
    """Writes and reads the samples of a queue's models, which are in the first shard."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._shard = shards.first
        self._redis = self._shard.redis
        self._models = shards.models
        self._roster = Roster(self._shard)

    async def record(self) -> int:
        """Adds a sample to each model that is due; returns their number, 0 while Redis is unavailable."""
        with suppress(QueueUnavailable, ResponseError):
            if due := await self._due():
                depths, beats = await self._shards.depth(), await self._roster.read()
                added = 0
                for model in due:
                    with suppress(QueueDamaged):  # it was logged; other models are not affected
                        added += await self._sample(model, depths[model], beats)
                return added
        return 0

    async def _due(self) -> list[str]:
        async with availability(), self._redis.pipeline(transaction=False) as pipe:
            for model in self._models:
                pipe.set(self._shard.key(keys.SAMPLING, model), "1", nx=True, px=GATE_MS)
            first = await pipe.execute()
        return [model for model, is_first in zip(self._models, first, strict=True) if is_first]

    async def _sample(self, model: str, depth: Depth, beats: Sequence[Heartbeat]) -> int:
        ours = [beat for beat in beats if beat.model == model]
        async with self._shard.integrity.intact():
            at, counts = await self._redis.hmget(self._shard.key(keys.SAMPLED, model), ["at", "counts"])  # type: ignore[misc]
        before = int(at) / 1000 if at else None
        known = _counts(counts)
        work = Work() if before is None else done_since(known, ours, before)
        sample = Sample(depth, len(ours), work, _all_new(ours, known))
        added: int = await self._shard.run(
            script("sample"),
            history=self._shard.key(keys.HISTORY, model),
            sampled=self._shard.key(keys.SAMPLED, model),
            before=at or b"",
            sample=msgspec.msgpack.encode(sample),
            counts=msgspec.msgpack.encode({beat.id: Work.of(beat) for beat in ours}),
            most_samples=MAX_SAMPLES,
            lifetime=LIFETIME_MS,
        )
        return added

    async def read(self, models: Sequence[str] = (), *, newest: int = MAX_SAMPLES) -> dict[str, Series]:
        """Returns the newest samples of the given models, by default all. Raises QueueUnavailable."""
        models = models or self._models
        async with self._shard.integrity.intact(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for model in models:
                pipe.lrange(self._shard.key(keys.HISTORY, model), -newest, -1)
                pipe.hget(self._shard.key(keys.SAMPLED, model), "counts")
            (seconds, micros), *rest = await pipe.execute()
        now = seconds + micros / 1e6
        return {
            model: Series(now, _moments(rest[2 * i]), _counts(rest[2 * i + 1]))
            for i, model in enumerate(models)
        }

    async def waiting(self) -> dict[str, list[tuple[float, int]]]:
        """Returns each model's waiting jobs at each sample, oldest first. Raises QueueUnavailable."""
        async with self._shard.integrity.intact(), self._redis.pipeline(transaction=False) as pipe:
            for model in self._models:
                pipe.lrange(self._shard.key(keys.HISTORY, model), 0, -1)
            samples = await pipe.execute()
        return {model: _waiting(each) for model, each in zip(self._models, samples, strict=True)}


def done_since(seen: Mapping[str, Work], beats: Iterable[Heartbeat], since: float) -> Work:
    """Returns the workers' work since their counters were read at `since`, in Unix seconds.

    All work of a new worker counts, but none of a worker that was temporarily missing.
    """
    done = Work()
    for beat in beats:
        counted = Work.of(beat)
        if (before := seen.get(beat.id)) is not None:
            done += counted - before
        elif beat.started > since - NEW_WORKER:
            done += counted
    return done


def _all_new(beats: Iterable[Heartbeat], seen: Mapping[str, Work]) -> bool:
    """Returns whether there are workers and none of them was seen before."""
    ids = {beat.id for beat in beats}
    return bool(ids) and ids.isdisjoint(seen)


def _counts(data: bytes | None) -> dict[str, Work]:
    try:
        return msgspec.msgpack.decode(data, type=dict[str, Work]) if data else {}
    except msgspec.MsgspecError:  # written by another version
        return {}


def _waiting(entries: Iterable[bytes]) -> list[tuple[float, int]]:
    found = []
    for entry in entries:
        at, _, data = entry.partition(b" ")
        with suppress(msgspec.MsgspecError):  # written by another version
            depth = _DECODE_QUEUE(data).depth
            found.append((int(at) / 1000, depth.waiting + depth.deferred))
    return found


def _moments(entries: Iterable[bytes]) -> list[Moment]:
    """Returns the samples that this version can read."""
    found: list[Moment] = []
    for entry in entries:
        at, _, data = entry.partition(b" ")
        try:
            sample = msgspec.msgpack.decode(data, type=Sample)
        except msgspec.MsgspecError:
            continue
        moment = int(at) / 1000
        seconds = moment - found[-1].at if found else 0.0
        found.append(Moment(moment, min(seconds, MAX_GAP) if sample.all_new else seconds, sample))
    return found
