"""Listing: the newest jobs by page, all or filtered; and the search for a job by the end of its id.

Ended jobs do not change, so they are cached.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.errors import InvalidRequest, JobGone, JobNotFound, QueueDamaged
from jobs.ledger import keys
from jobs.ledger.integrity import Integrity
from jobs.ledger.reading import STATE_ONLY, Reading
from jobs.schema import Job, JobState
from jobs.store.connection import availability

REMEMBERED = 1_000
"""Most ended jobs in the cache."""
SEARCHED = 300
"""Most jobs that one page examines; otherwise a filter for a rare state would read the whole listing."""
CHUNK = 60
"""Fewest jobs that a filtered page reads at once."""

SCANNED = 1_000
"""Ids that Redis compares in one step of a search, so that other commands wait only briefly."""

_ID_CHARACTERS = re.compile(r"[\w-]+")
"""Characters of ids; none of them is special in a pattern of Redis."""

PARTIAL = "partial"
"""Filter for jobs of which some inputs failed, but not all. It is not a state: such a job is `succeeded`."""

STATES = (*(state.value for state in JobState), PARTIAL)
"""Allowed values of a filter's `states`."""


class Filter(NamedTuple):
    """Selects the jobs of a page. An empty set allows all."""

    states: frozenset[str] = frozenset()
    """A subset of STATES."""
    models: frozenset[str] = frozenset()

    def allows(self, job: Job) -> bool:
        if self.models and job.model not in self.models:
            return False
        if not self.states or job.status.value in self.states:
            return True
        return PARTIAL in self.states and job.partly_failed


ALL = Filter()


class Listing:
    """Reads the jobs in `batchline:recent` without their results, which may be large."""

    def __init__(self, redis: ArqRedis, integrity: Integrity, reading: Reading) -> None:
        self._redis = redis
        self._integrity = integrity
        self._reading = reading
        self._ended: dict[str, Job] = {}

    async def page(self, limit: int, after: str | None, wanted: Filter = ALL) -> tuple[list[Job], str | None]:
        """Returns the newest jobs that match the filter, or those after `after`; and the next page's `after`.

        Examines at most SEARCHED jobs, so a filtered page may be short or empty although there is a next one.
        Raises InvalidRequest if `after` is not in the list, or no longer.
        """
        ids = await self._ids(SEARCHED + 1, after)
        looked_at = ids[:SEARCHED]
        step = limit if wanted == ALL else max(limit, CHUNK)
        page: list[Job] = []
        for start in range(0, len(looked_at), step):
            for job_id, job in await self._read(looked_at[start : start + step]):
                if wanted.allows(job):
                    page.append(job)
                    if len(page) == limit:
                        return page, job_id if job_id != ids[-1] else None
        return page, looked_at[-1] if len(ids) > len(looked_at) else None

    async def find(self, end: str, limit: int) -> dict[str, Job | None]:
        """Returns the newest listed ids that end in `end`, at most `limit`, each with its job.

        The job is None if its lifetime is over. Compares all ids in the list, at most `recent_jobs`.
        """
        if not _ID_CHARACTERS.fullmatch(end):
            return {}
        found: dict[bytes, float] = {}
        async with self._integrity.intact():
            async for member, created in self._redis.zscan_iter(keys.RECENT.pattern, f"*{end}", SCANNED):
                found[member] = created
        newest = sorted(found, key=lambda member: (found[member], member), reverse=True)
        ids = [member.decode() for member in newest[:limit]]
        there = dict(await self._read(ids))
        return {job_id: there.get(job_id) for job_id in ids}

    async def _read(self, ids: Sequence[str]) -> list[tuple[str, Job]]:
        """Returns the jobs that still exist, each with its id in the list."""
        await self._forget_those_gone(ids)
        found = [(job_id, self._ended.get(job_id) or await self._look_up(job_id)) for job_id in ids]
        return [(job_id, job) for job_id, job in found if job is not None]

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

    async def _forget_those_gone(self, ids: Sequence[str]) -> None:
        """Drops ended jobs that the server no longer has; this machine's clock may be wrong."""
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
            job = replace(await self._reading.job(job_id, STATE_ONLY), results=None)
        except (JobGone, JobNotFound):  # its lifetime is over; the list keeps ids for longer
            return None
        except QueueDamaged as error:
            if error.key != keys.RESULT.of(job_id):
                raise
            return None  # its record was replaced with another program's data
        if job.status.terminal:
            self._ended[job_id] = job
            if len(self._ended) > REMEMBERED:
                del self._ended[next(iter(self._ended))]
        return job
