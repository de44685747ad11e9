"""History: each model's last quarter of an hour, one sample each 5 s, so that charts outlive every process.

API processes and workers all try to add a sample once a second; the first of them does. A sample holds what
was done since the one before it: the differences of what the workers' heartbeats count.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import msgspec
from arq.connections import ArqRedis
from msgspec.structs import replace
from redis.exceptions import ResponseError

from jobs.errors import QueueDamaged, QueueUnavailable
from jobs.ledger import keys
from jobs.ledger.queues import Depth, Queues
from jobs.monitoring.roster import Heartbeat, Roster
from jobs.monitoring.work import Work
from jobs.store import lua
from jobs.store.connection import availability

EVERY = 5.0
"""Seconds between samples, at least."""
GATE_MS = 4_500
"""Less than EVERY, for the next writer may look half a second later."""
SILENCE = 2 * EVERY
"""Seconds without a sample that count at most where all workers are new: what they did they did of late."""
KEPT = 200
"""Samples of one model: more than a quarter of an hour."""
LIFETIME_MS = 20 * 60_000
"""After the newest sample."""
NEW = 15.0
"""Seconds after its start within which all of a worker's work counts as new; clocks may differ by some."""


class Sample(msgspec.Struct, array_like=True, frozen=True):
    """What stood in the queue when it was taken, and what was done since the sample before."""

    depth: Depth
    workers: int
    work: Work
    anew: bool = False
    """Whether all workers had started since the sample before."""


class Moment(msgspec.Struct, frozen=True):
    """A sample in its place: `at` in Unix seconds, `seconds` in which its work was done (0 for the first).

    These are all since the sample before, but after a silence in which no worker was there.
    """

    at: float
    seconds: float
    sample: Sample


class Series(msgspec.Struct, frozen=True):
    """A model's samples, oldest first; `now` in Unix seconds by the server's clock."""

    now: float
    moments: list[Moment]
    seen: dict[str, Work]
    """What the newest sample has seen of each worker."""

    def lately(self, seconds: float, beats: Sequence[Heartbeat]) -> tuple[Work, float]:
        """What was done in about the last `seconds` up to this moment, and in how many seconds it was."""
        recent = [moment for moment in self.moments if moment.seconds and self.now - moment.at < seconds]
        work = Work()
        for moment in recent:
            work += moment.sample.work
        since = self.moments[-1].at if self.moments else self.now
        work += done_since(self.seen, beats, since)
        begins = [max(self.moments[0].at if self.moments else self.now, self.now - seconds)]
        begins += [moment.at - moment.seconds for moment in recent[:1]]
        if not self.seen.keys().isdisjoint(beat.id for beat in beats):
            begins.append(since)  # they worked on while nobody took samples
        return work, self.now - min(begins)

    def with_now(self, depth: Depth, beats: Sequence[Heartbeat]) -> "Series":
        """These, and this moment as one more that is not written: what stands in the queue now.

        Its work is the newest sample's and all since: heartbeats come once a second, and what was done in a
        shorter time would be a matter of chance.
        """
        last = self.moments[-1] if self.moments else Moment(self.now, 0.0, Sample(depth, 0, Work()))
        work, seconds = done_since(self.seen, beats, last.at), self.now - last.at
        if seconds > SILENCE and _anew(beats, self.seen):
            seconds = SILENCE
        else:
            work, seconds = work + last.sample.work, seconds + last.seconds
        return replace(
            self, moments=[*self.moments, Moment(self.now, seconds, Sample(depth, len(beats), work))]
        )


class History:
    """Writes and reads the samples of a queue's models."""

    def __init__(self, queues: Queues) -> None:
        self._redis: ArqRedis = queues.redis
        self._queues = queues
        self._roster = Roster(queues.redis)
        self._add = lua.Script(queues.redis, "sample")

    async def record(self) -> int:
        """Adds a sample to each model whose turn it is, and returns to how many; none while Redis is away."""
        with suppress(QueueUnavailable, ResponseError):
            if due := await self._due():
                depths, beats = await self._queues.depth(), await self._roster.read()
                added = 0
                for model in due:
                    with suppress(QueueDamaged):  # which was logged, and is no other model's fault
                        added += await self._sample(model, depths[model], beats)
                return added
        return 0

    async def _due(self) -> list[str]:
        async with availability(), self._redis.pipeline(transaction=False) as pipe:
            for model in self._queues.models:
                pipe.set(keys.SAMPLING.of(model), "1", nx=True, px=GATE_MS)
            first = await pipe.execute()
        return [model for model, won in zip(self._queues.models, first, strict=True) if won]

    async def _sample(self, model: str, depth: Depth, beats: Sequence[Heartbeat]) -> int:
        ours = [beat for beat in beats if beat.model == model]
        async with self._queues.integrity.intact():
            at, counts = await self._redis.hmget(keys.SAMPLED.of(model), ["at", "counts"])  # type: ignore[misc]
            before = int(at) / 1000 if at else None
            known = _counts(counts)
            work = Work() if before is None else done_since(known, ours, before)
            sample = Sample(depth, len(ours), work, _anew(ours, known))
            seen = {beat.id: Work.of(beat) for beat in ours}
            added: int = await self._add(
                keys=[keys.HISTORY.of(model), keys.SAMPLED.of(model)],
                args=[
                    at or b"",
                    msgspec.msgpack.encode(sample),
                    msgspec.msgpack.encode(seen),
                    KEPT,
                    LIFETIME_MS,
                ],
            )
        return added

    async def read(self, models: Sequence[str] = (), *, newest: int = KEPT) -> dict[str, Series]:
        """Each model's newest samples; of all models unless some are named. Raises QueueUnavailable."""
        models = models or self._queues.models
        async with self._queues.integrity.intact(), self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for model in models:
                pipe.lrange(keys.HISTORY.of(model), -newest, -1)
                pipe.hget(keys.SAMPLED.of(model), "counts")
            (seconds, micros), *rest = await pipe.execute()
        now = seconds + micros / 1e6
        return {
            model: Series(now, _moments(rest[2 * i]), _counts(rest[2 * i + 1]))
            for i, model in enumerate(models)
        }


def done_since(seen: Mapping[str, Work], beats: Iterable[Heartbeat], since: float) -> Work:
    """What workers did after they were seen at `since`, in Unix seconds.

    All of a new worker's work counts; none of one that comes back from a silence.
    """
    done = Work()
    for beat in beats:
        counted = Work.of(beat)
        if (before := seen.get(beat.id)) is not None:
            done += counted - before
        elif beat.started > since - NEW:
            done += counted
    return done


def _anew(beats: Iterable[Heartbeat], seen: Mapping[str, Work]) -> bool:
    """Whether there are workers, and none of them was seen before."""
    ids = {beat.id for beat in beats}
    return bool(ids) and ids.isdisjoint(seen)


def _counts(data: bytes | None) -> dict[str, Work]:
    try:
        return msgspec.msgpack.decode(data, type=dict[str, Work]) if data else {}
    except msgspec.MsgspecError:  # of another version
        return {}


def _moments(entries: Iterable[bytes]) -> list[Moment]:
    """The samples that this version can read."""
    found: list[Moment] = []
    for entry in entries:
        at, _, data = entry.partition(b" ")
        try:
            sample = msgspec.msgpack.decode(data, type=Sample)
        except msgspec.MsgspecError:
            continue
        moment = int(at) / 1000
        seconds = moment - found[-1].at if found else 0.0
        found.append(Moment(moment, min(seconds, SILENCE) if sample.anew else seconds, sample))
    return found
