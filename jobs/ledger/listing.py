"""Listing: the newest jobs, page by page. Ended jobs do not change, so each is read only once."""

from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.errors import InvalidRequest, JobGone, JobNotFound
from jobs.ledger import keys
from jobs.ledger.integrity import Integrity
from jobs.ledger.reading import BARELY, Reading
from jobs.schema import Job
from jobs.store.connection import availability

REMEMBERED = 1_000
"""Ended jobs that are not read again."""


class Listing:
    """The jobs that `batchline:recent` names, without their results, which may be large."""

    def __init__(self, redis: ArqRedis, integrity: Integrity, reading: Reading) -> None:
        self._redis = redis
        self._integrity = integrity
        self._reading = reading
        self._ended: dict[str, Job] = {}

    async def page(self, limit: int, after: str | None) -> tuple[list[Job], str | None]:
        """The newest jobs, or those after the job `after`; and the next page's `after`.

        Raises InvalidRequest when `after` is not, or no longer, in the list.
        """
        ids = await self._ids(limit + 1, after)
        shown = ids[:limit]
        await self._forget_those_gone(shown)
        found = [self._ended.get(job_id) or await self._look_up(job_id) for job_id in shown]
        return [job for job in found if job is not None], shown[-1] if len(ids) > limit else None

    async def _ids(self, count: int, after: str | None) -> list[str]:
        async with self._integrity.intact():
            first = 0
            if after is not None:
                rank = await self._redis.zrevrank(keys.RECENT.pattern, after)
                if rank is None:
                    raise InvalidRequest("cursor: not one that this server gave out, or too old by now")
                first = rank + 1
            newest = await self._redis.zrevrange(keys.RECENT.pattern, first, first + count - 1)
        return [member.decode() for member in newest]

    async def _forget_those_gone(self, ids: list[str]) -> None:
        """The server says whose lifetime is over: this machine's clock may be wrong."""
        known = [job_id for job_id in ids if job_id in self._ended]
        if not known:
            return
        async with availability(), self._redis.pipeline(transaction=False) as pipe:
            for job_id in known:
                pipe.exists(keys.RESULT.of(job_id))
            there = await pipe.execute()
        for job_id, exists in zip(known, there, strict=True):
            if not exists:
                self._ended.pop(job_id, None)

    async def _look_up(self, job_id: str) -> Job | None:
        try:
            job = replace(await self._reading.job(job_id, BARELY), results=None)
        except (JobGone, JobNotFound):  # its lifetime ended, and the list outlives it
            return None
        if job.status.terminal:
            self._ended[job_id] = job
            if len(self._ended) > REMEMBERED:
                del self._ended[next(iter(self._ended))]
        return job
