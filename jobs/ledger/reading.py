"""Reading: reads a job's state, results and inputs, each separately if the others are large.

Reading the state costs the same for any job size. Larger results are read in slices, so that no answer of
Redis is large, delays other clients, or fills the server's buffers.
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

INLINE_BYTES = 256 * 1024
"""Bytes of a record up to which state and results are read in one round trip."""

STATE_ONLY = 1024
"""The same if the results are not needed: removing them from a smaller record saves nothing."""

SLICE = 1024 * 1024
"""Most bytes of results in one answer of Redis."""

MAX_PREVIEW = 256 * 1024
"""Bytes of a payload up to which a page shows its inputs and parameters."""

MAX_SLICES = 4
"""Most slices that a process requests at once; bounds what Redis buffers for it."""


OF_ANOTHER_MODEL = 1
"""The answer for a job that is in no queue of the served models."""


class Stored(NamedTuple):
    """An ended job, and the position of the results in its record."""

    job: Job
    offset: int
    size: int
    rest: bytes
    """The record without the results; it ends with the job's finish time."""


class Outcomes(NamedTuple):
    """The known outcomes of a job's inputs, in the order in which they became known."""

    job: Job
    known: Sequence[bytes] | None
    """JSON objects with an `index`, without those that the reader already has; None for an ended job."""
    order: Sequence[int] | None
    """For an ended job, the order of its results; None if it is the order of the inputs."""


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
        self._inputs = lua.Script(redis, "inputs")
        self._slices = asyncio.Semaphore(MAX_SLICES)

    async def job(self, job_id: str, inline: int = INLINE_BYTES) -> Job:
        """Returns the job as it is now; its results are UNSET if its record has more than `inline` bytes.

        Raises JobNotFound, or JobGone if its lifetime is over.
        """
        match await self._answer(job_id, inline):
            case [_, _, _, _, _, _, _] as parts:
                return self._unfinished(job_id, parts)
            case [record, *where]:
                return self.ended(job_id, record, results=not where)
        raise self.missing(job_id)

    async def outcomes(self, job_id: str, after: int, most: int = SLICE) -> Outcomes:
        """Returns the job and its known outcomes except the first `after`; stops after `most` bytes.

        Raises like `job`.
        """
        match await self._answer(job_id, INLINE_BYTES):
            case [_, _, _, _, _, _, _] as parts:
                job = self._unfinished(job_id, parts)
                names = [keys.PROGRESS.of(job_id)]
                known = await self._integrity.run(self._outcomes, names, [after, most])
                return Outcomes(job, known, None)
            case [record, *where]:
                job = self.ended(job_id, record, results=not where)
                return Outcomes(job, None, views.order(record))
        raise self.missing(job_id)

    async def stored(self, job_id: str) -> Stored:
        """Returns where the results of a job are if they exceed STATE_ONLY bytes. Raises like `job`."""
        match await self._answer(job_id, STATE_ONLY):
            case [record, offset, size]:
                return Stored(self.ended(job_id, record, results=False), offset, size, record)
        raise self.missing(job_id)

    async def results(self, stored: Stored) -> bytearray:
        """Returns the results as JSON. Raises JobGone if their lifetime ends before they were all read."""
        key = keys.RESULT.of(stored.job.id)
        results = bytearray(stored.size)
        for start in range(0, stored.size, SLICE):
            end = min(start + SLICE, stored.size)
            part = await self._slice(key, stored.offset + start, stored.offset + end - 1)
            if len(part) != end - start:
                raise self.gone(stored.job.id)
            results[start:end] = part
        rest = await self._slice(key, stored.offset + stored.size, -1)
        if not rest or not stored.rest.endswith(rest):  # a stock client reused the id
            raise self.gone(stored.job.id)
        return results

    async def first_results(self, job_id: str, most: int) -> bytes:
        """Returns the first `most` bytes of results that exceed STATE_ONLY bytes. Raises like `job`."""
        stored = await self.stored(job_id)
        end = stored.offset + min(stored.size, most)
        return await self._slice(keys.RESULT.of(job_id), stored.offset, end - 1)

    async def inputs(self, job_id: str) -> views.JobInputs:
        """Returns the job's inputs and parameters for display; nothing once its lifetime is over.

        For a payload above MAX_PREVIEW bytes only its size is returned.
        """
        async with availability():
            answer = await self._inputs([keys.JOB.of(job_id)], [MAX_PREVIEW])
        if isinstance(answer, int):
            return views.JobInputs(size=answer)
        return views.preview(answer) if answer else views.JobInputs()

    def ended(self, job_id: str, record: bytes, *, results: bool) -> Job:
        """Returns a job from its record, with or without results. Raises QueueDamaged if it is no record."""
        try:
            return views.terminal(record, results=results)
        except views.UNREADABLE:
            raise self._integrity.damaged(keys.RESULT.of(job_id), "holds no record of a job") from None

    def missing(self, job_id: str) -> JobGone | JobNotFound:
        """Returns the error for an unknown id: JobGone if it is older than the lifetime of results."""
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

    async def _answer(self, job_id: str, inline: int) -> Any:
        names = [*keys.of_job(job_id), *self._queues]
        answer = await self._integrity.run(self._read, names, [job_id, inline])
        if answer == [OF_ANOTHER_MODEL]:
            raise JobNotFound(f"job {job_id} is of a model that this server does not serve; it is kept")
        return answer

    async def _slice(self, key: str, first: int, last: int) -> bytes:
        async with self._slices, availability():
            part: bytes = await self._redis.getrange(key, first, last)
        return part
