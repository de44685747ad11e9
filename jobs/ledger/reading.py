"""Reading: a job's state, its results, its inputs, each without the others where those are large.

The state of a job costs the same whatever its size. Results beyond ALONG bytes are not in it; they are read
in slices, so that no answer of Redis is large, delays others, or fills the server's buffers.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from arq.connections import ArqRedis

from jobs.errors import JobGone, JobNotFound
from jobs.ledger import keys, views
from jobs.ledger.ids import created_ms
from jobs.ledger.integrity import Integrity
from jobs.schema import Counts, Job
from jobs.store import lua
from jobs.store.connection import availability

ALONG = 256 * 1024
"""Bytes of a record up to which its results come along with its state, in one round trip."""

BARELY = 1024
"""The same where nobody wants results: such a record is not worth the cut."""

SLICE = 1024 * 1024
"""Bytes of results that one answer of Redis holds."""

MOST_ASKED = 256 * 1024
"""Bytes of a payload up to which a page shows what was asked."""

AT_ONCE = 4
"""Slices that a process has asked for and not received: what Redis may hold for it in its buffers."""


class Stored(NamedTuple):
    """A job that ended, and where in its record its results are."""

    job: Job
    offset: int
    size: int
    rest: bytes
    """Its record without the results; it ends with the time of the job's end."""


class Outcomes(NamedTuple):
    """What is known of a job's inputs, in the order in which it became known."""

    job: Job
    known: Sequence[bytes] | None
    """JSON objects with an `index`, less those that the reader has; None for a job that ended."""
    order: Sequence[int] | None
    """Of a job that ended, the order of its results; None where it is that of its inputs."""


class Reading:
    """Reads jobs of all models; writes nothing."""

    def __init__(
        self, redis: ArqRedis, integrity: Integrity, models: Sequence[str], lifetime_ms: int
    ) -> None:
        self._redis = redis
        self._integrity = integrity
        self._models = models
        self._lifetime_ms = lifetime_ms
        self._queues = [keys.QUEUE.of(model) for model in models]
        self._read = lua.Script(redis, "read")
        self._outcomes = lua.Script(redis, "outcomes")
        self._asked = lua.Script(redis, "asked")
        self._slices = asyncio.Semaphore(AT_ONCE)

    async def job(self, job_id: str, along: int = ALONG) -> Job:
        """The job as it is now; its results are UNSET where its record has more bytes than `along`.

        Raises JobNotFound, or JobGone when its lifetime is over.
        """
        match await self._answer(job_id, along):
            case [_, _, _, _, _, _, _] as parts:
                return self._unfinished(job_id, parts)
            case [record, *where]:
                return self.ended(job_id, record, results=not where)
        raise self.missing(job_id)

    async def outcomes(self, job_id: str, after: int) -> Outcomes:
        """The job, and what is known of its inputs less the first `after` outcomes. Raises as `job`."""
        match await self._answer(job_id, ALONG):
            case [_, _, _, _, _, _, _] as parts:
                job = self._unfinished(job_id, parts)
                names = [keys.PROGRESS.of(job_id)]
                known = await self._integrity.run(self._outcomes, names, [after, SLICE])
                return Outcomes(job, known, None)
            case [record, *where]:
                job = self.ended(job_id, record, results=not where)
                return Outcomes(job, None, views.order(record))
        raise self.missing(job_id)

    async def stored(self, job_id: str) -> Stored:
        """Where the results are of a job that has more than BARELY bytes of them. Raises as `job`."""
        match await self._answer(job_id, BARELY):
            case [record, offset, size]:
                return Stored(self.ended(job_id, record, results=False), offset, size, record)
        raise self.missing(job_id)

    async def results(self, stored: Stored) -> bytearray:
        """The results, JSON. Raises JobGone where their lifetime ends before all of them were read."""
        key = keys.RESULT.of(stored.job.id)
        results = bytearray(stored.size)
        for start in range(0, stored.size, SLICE):
            end = min(start + SLICE, stored.size)
            part = await self._slice(key, stored.offset + start, stored.offset + end - 1)
            if len(part) != end - start:
                raise self.gone(stored.job.id)
            results[start:end] = part
        rest = await self._slice(key, stored.offset + stored.size, -1)
        if not rest or not stored.rest.endswith(rest):  # another job's, which a stock client gave the same id
            raise self.gone(stored.job.id)
        return results

    async def asked(self, job_id: str, structure: int = views.STRUCTURE) -> views.Asked:
        """What the job was asked, for people to read; nothing once its lifetime is over.

        A payload above MOST_ASKED bytes is not moved: only its size is known then. How much of a smaller one
        is decoded is up to `structure`, as in `views.glimpse`.
        """
        async with availability():
            answer = await self._asked([keys.JOB.of(job_id)], [MOST_ASKED])
        if isinstance(answer, int):
            return views.Asked(size=answer)
        return views.glimpse(answer, structure) if answer else views.Asked()

    def ended(self, job_id: str, record: bytes, *, results: bool) -> Job:
        """A job from its record, with or without its results. Raises QueueDamaged where that is no record."""
        try:
            return views.terminal(record, results=results)
        except views.UNREADABLE:
            raise self._integrity.damaged(keys.RESULT.of(job_id), "holds no record of a job") from None

    def missing(self, job_id: str) -> JobGone | JobNotFound:
        """An id tells its age: one older than the lifetime of results was probably a job once."""
        created = created_ms(job_id)
        if created is not None and created < views.now_ms() - self._lifetime_ms:
            return self.gone(job_id)
        return JobNotFound(f"there is no job {job_id}")

    def gone(self, job_id: str) -> JobGone:
        return JobGone(f"job {job_id} ended and its lifetime is over")

    def _unfinished(self, job_id: str, parts: Sequence[Any]) -> Job:
        inputs, created, lease, attempts, index, place, done = parts
        succeeded, failed = map(int, done.split()) if done else (0, 0)
        return views.unfinished(
            job_id,
            self._models[index],
            Counts(inputs, succeeded, failed),
            created or 0,
            lease,
            attempts,
            place or None,
        )

    async def _answer(self, job_id: str, along: int) -> Any:
        names = [*job_keys(job_id), *self._queues]
        return await self._integrity.run(self._read, names, [job_id, along])

    async def _slice(self, key: str, first: int, last: int) -> bytes:
        async with self._slices, availability():
            part: bytes = await self._redis.getrange(key, first, last)
        return part


def job_keys(job_id: str) -> list[str]:
    """A job's own keys, in the order that scripts take them."""
    own = (keys.JOB, keys.RESULT, keys.LEASE, keys.ATTEMPTS, keys.PROGRESS)
    return [key.of(job_id) for key in own]
