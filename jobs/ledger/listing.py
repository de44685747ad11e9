"""Listing: the newest jobs by page, all or filtered; and the search for a job by the end of its id.

Ended jobs do not change, so they are cached.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from jobs.errors import InvalidRequest, JobNotFound, QueueDamaged
from jobs.ledger import keys, ownership
from jobs.ledger.reading import Reading
from jobs.ledger.shard import Shard
from jobs.ledger.shards import Shards
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


class Listed(NamedTuple):
    """An id in the listing, with its acceptance in Unix ms. The newest is the greatest."""

    created: float
    id: str


class Listing:
    """Reads the newest jobs of all shards without their results, which may be large.

    `sees` is as in `reading.py`. Each named owner has a list of its own jobs. Jobs without an owner are only
    in the list of all jobs, which is filtered for a caller who may see only those.
    """

    def __init__(self, shards: Shards, reading: Reading) -> None:
        self._shards = shards
        self._reading = reading
        self._ended: dict[str, tuple[Job, Shard]] = {}

    async def page(
        self, limit: int, after: str | None, wanted: Filter = ALL, *, sees: str | None
    ) -> tuple[list[Job], str | None]:
        """Returns the newest jobs that match the filter, or those after `after`; and the next page's `after`.

        Examines at most SEARCHED jobs, so a filtered page may be short or empty although there is a next one.
        For a caller without an owner, beside named ones, the list ends after SEARCHED jobs of these.
        Raises InvalidRequest if `after` is not in the caller's list, or no longer.
        """
        ids = await self._ids(SEARCHED + 1, after, sees)
        looked_at = ids[:SEARCHED]
        step = limit if wanted == ALL and sees != "" else max(limit, CHUNK)
        page: list[Job] = []
        last = looked_at[-1] if looked_at and sees != "" else None
        for start in range(0, len(looked_at), step):
            for job_id, job in await self._read(looked_at[start : start + step], sees):
                if sees == "":
                    last = job_id  # a cursor must not reveal the id of a job that the caller may not see
                if wanted.allows(job):
                    page.append(job)
                    if len(page) == limit:
                        return page, job_id if job_id != ids[-1] else None
        return page, last if len(ids) > len(looked_at) else None

    async def find(self, end: str, limit: int, *, sees: str | None) -> dict[str, Job | None]:
        """Returns the newest listed ids that end in `end`, at most `limit`, each with its job.

        The job is None if its lifetime is over. Compares all ids in the list, at most `recent_jobs`.
        """
        if not _ID_CHARACTERS.fullmatch(end):
            return {}
        parts = await self._shards.each(partial(_search, end, sees))
        ids = [each.id for each in sorted({each for part in parts.values() for each in part}, reverse=True)]
        if sees == "":  # it is not known whose those were that are gone
            return dict((await self._read(ids, sees))[:limit])
        there = dict(await self._read(ids[:limit], sees))
        return {job_id: there.get(job_id) for job_id in ids[:limit]}

    async def _read(self, ids: Sequence[str], sees: str | None) -> list[tuple[str, Job]]:
        """Returns the jobs that still exist and that the caller may see, each with its id in the list."""
        await self._forget_those_gone(ids)
        found = []
        for job_id in ids:
            ended = self._ended.get(job_id)
            job = ended[0] if ended else await self._look_up(job_id)
            if job is not None and (job := ownership.shown(job, sees)) is not None:
                found.append((job_id, job))
        return found

    async def _ids(self, count: int, after: str | None, sees: str | None) -> list[str]:
        cursor = None if after is None else await self._cursor(after, sees)
        found = await self._shards.each(partial(_newest, count, cursor, sees))
        if len(found) == 1:
            [part] = found.values()
            return [each.id for each in part]
        return [each.id for each in sorted((each for part in found.values() for each in part), reverse=True)][
            :count
        ]

    async def _cursor(self, job_id: str, sees: str | None) -> Listed:
        for shard in await self._shards.of(job_id):
            async with shard.integrity.intact():
                created = await shard.redis.zscore(shard.listing(sees), job_id)
            if created is not None and (sees != "" or await self._read([job_id], sees)):
                return Listed(created, job_id)
        raise InvalidRequest("cursor: not one that this server gave out, or too old by now")

    async def _forget_those_gone(self, ids: Sequence[str]) -> None:
        """Drops ended jobs that the server no longer has; this machine's clock may be wrong."""
        by_shard: dict[Shard, list[str]] = {}
        for job_id in ids:
            if job_id in self._ended:
                by_shard.setdefault(self._ended[job_id][1], []).append(job_id)
        for shard, known in by_shard.items():
            async with availability(), shard.redis.pipeline(transaction=False) as pipe:
                for job_id in known:
                    pipe.exists(shard.key(keys.RESULT, job_id))
                answers = await pipe.execute()
            for job_id, exists in zip(known, answers, strict=True):
                if not exists:
                    self._ended.pop(job_id, None)

    async def _look_up(self, job_id: str) -> Job | None:
        """Returns the job, whoever may see it, because it may be cached for other callers."""
        try:
            found = await self._reading.listed(job_id, sees=None)
        except JobNotFound:  # of a model that is not served
            return None
        except QueueDamaged as error:
            if not error.key.startswith(keys.RESULT.of()):
                raise
            return None  # its record was replaced with another program's data
        if found is None:  # the list keeps ids for longer
            return None
        job, shard = found
        if job.status.terminal:
            self._ended[job_id] = job, shard
            if len(self._ended) > REMEMBERED:
                del self._ended[next(iter(self._ended))]
        return job


async def _newest(count: int, cursor: Listed | None, sees: str | None, shard: Shard) -> list[Listed]:
    """Returns the newest ids of a shard, or those after the cursor, which may be of another shard."""
    key = shard.listing(sees)
    async with shard.integrity.intact():
        first = 0
        if cursor is not None:
            async with shard.redis.pipeline(transaction=False) as pipe:
                pipe.zcount(key, f"({cursor.created:.0f}", "+inf")
                pipe.zrangebyscore(key, cursor.created, cursor.created)
                newer, same = await pipe.execute()
            first = newer + sum(member.decode() >= cursor.id for member in same)
        newest = await shard.redis.zrevrange(key, first, first + count - 1, withscores=True)
    return [Listed(created, member.decode()) for member, created in newest]


async def _search(end: str, sees: str | None, shard: Shard) -> list[Listed]:
    """Returns the ids of a shard that end in `end`; a scan may return one twice."""
    async with shard.integrity.intact():
        scan = shard.redis.zscan_iter(shard.listing(sees), f"*{end}", SCANNED)
        return [Listed(created, member.decode()) async for member, created in scan]
