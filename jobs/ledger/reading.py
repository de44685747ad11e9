"""Reading: reads a job's state, results and inputs, each separately if the others are large.

Reading the state costs the same for any job size. Larger results are read in slices, so that no answer of
Redis is large, delays other clients, or fills the server's buffers.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from msgspec.structs import replace

from jobs.errors import JobGone, JobNotFound, QueueDamaged, QueueUnavailable, WritesRefused
from jobs.ledger import keys, ownership, views
from jobs.ledger.ids import created_ms
from jobs.ledger.shard import Shard
from jobs.ledger.shards import Shards
from jobs.schema import Counts, Job
from jobs.store.connection import availability
from jobs.store.lua import script

INLINE_BYTES = 256 * 1024
"""Bytes of a record up to which state and results are read in one round trip."""

STATE_ONLY = 1024
"""The same if the results are not needed: removing them from a smaller record saves nothing."""

SLICE = 1024 * 1024
"""Most bytes of results in one answer of Redis."""

MAX_PREVIEW = 256 * 1024
"""Bytes of a payload up to which a page shows its inputs and parameters."""

CLOCKS_MS = 60_000
"""Milliseconds by which the clocks of two machines may differ. Ids of a later time were made up."""

MAX_SLICES = 4
"""Most slices that a process requests at once; bounds what Redis buffers for it."""


STATE_PARTS = 8
"""Parts of the answer for a job that has not ended; a watcher's may have one more."""

PARTS_OF_ANOTHER_MODEL = 2
"""Parts of the answer for a job that is in no queue of the served models; the second is its owner."""


class Stored(NamedTuple):
    """An ended job, and the position of the results in its record."""

    job: Job
    shard: Shard
    offset: int
    size: int
    head: bytes
    """The record without the results; it contains the job's finish time."""


class Outcomes(NamedTuple):
    """The known outcomes of a job's inputs, in the order in which they became known."""

    job: Job
    known: Sequence[bytes] | None
    """JSON objects with an `index`, without those that the reader already has; None for an ended job."""
    order: Sequence[int] | None
    """For an ended job, the order of its results; None if it is the order of the inputs."""


class Found(NamedTuple):
    """A job that the caller may see, the shard that has it, and the answer of read.lua for it."""

    job: Job
    shard: Shard
    parts: list[Any]

    @property
    def ended(self) -> bool:
        return len(self.parts) < STATE_PARTS

    @property
    def partials(self) -> int | None:
        """Length of the partial answers of a job that has not ended; None if not known."""
        return None if len(self.parts) == STATE_PARTS else self.parts[STATE_PARTS]


class Reading:
    """Reads jobs of all models; writes nothing.

    `sees` is the owner whose jobs the caller may see, or None for all (`ownership.py`). A job of another
    owner is answered exactly as one that never existed.
    """

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._models = shards.models
        self._lifetime_ms = int(shards.settings.result_ttl * 1000)
        self._slices = asyncio.Semaphore(MAX_SLICES)

    async def job(
        self,
        job_id: str,
        inline: int = INLINE_BYTES,
        watcher: str = "",
        *,
        sees: str | None,
        endings_only: bool = False,
    ) -> Job:
        """Returns the job as it is now; its results are UNSET if its record has more than `inline` bytes.

        The API process `watcher` is told of the job's changes from now on, or only of its end. Raises
        JobNotFound, or JobGone if its lifetime is over.
        """
        if (found := await self.find(job_id, inline, sees, watcher, endings_only)) is None:
            raise await self.missing(job_id, sees=sees)
        return found.job

    async def shard_of(self, job_id: str, *, sees: str | None) -> Shard:
        """Returns the shard of a job that the caller may see. Raises like `job`."""
        if (found := await self.find(job_id, STATE_ONLY, sees)) is None:
            raise await self.missing(job_id, sees=sees)
        return found.shard

    async def listed(self, job_id: str, *, sees: str | None) -> tuple[Job, Shard] | None:
        """Returns a listed job without its results, and its shard; None if its lifetime is over.

        Raises JobNotFound if its model is not served.
        """
        found = await self.find(job_id, STATE_ONLY, sees)
        return None if found is None else (replace(found.job, results=None), found.shard)

    async def outcomes(self, job_id: str, after: int, most: int = SLICE, *, sees: str | None) -> Outcomes:
        """Returns the job and its known outcomes except the first `after`; stops after `most` bytes.

        Raises like `job`.
        """
        if (found := await self.find(job_id, INLINE_BYTES, sees)) is None:
            raise await self.missing(job_id, sees=sees)
        if found.ended:
            return Outcomes(found.job, None, views.order(found.parts[0]))
        progress = found.shard.key(keys.PROGRESS, job_id)
        known = await found.shard.run(script("outcomes"), progress=progress, after=after, most_bytes=most)
        return Outcomes(found.job, known, None)

    async def stored(self, job_id: str, *, sees: str | None) -> Stored:
        """Returns where the results of a job are if they exceed STATE_ONLY bytes. Raises like `job`."""
        match await self.find(job_id, STATE_ONLY, sees):
            case Found(job, shard, [record, offset, size]):
                return Stored(job, shard, offset, size, record)
        raise await self.missing(job_id, sees=sees)

    async def results(self, stored: Stored) -> bytearray:
        """Returns the results as JSON. Raises JobGone if their lifetime ends before they were all read."""
        shard, job_id = stored.shard, stored.job.id
        results = bytearray(stored.size)
        for start in range(0, stored.size, SLICE):
            end = min(start + SLICE, stored.size)
            part = await self._slice(shard, job_id, stored.offset + start, stored.offset + end - 1)
            if len(part) != end - start:
                raise self.gone(job_id)
            results[start:end] = part
        head = await self._slice(shard, job_id, 0, stored.offset - 1)
        if head != stored.head[: stored.offset]:  # a stock client reused the id
            raise self.gone(job_id)
        return results

    async def first_results(self, job_id: str, most: int, *, sees: str | None) -> bytes:
        """Returns the first `most` bytes of results that exceed STATE_ONLY bytes. Raises like `job`."""
        stored = await self.stored(job_id, sees=sees)
        end = stored.offset + min(stored.size, most)
        return await self._slice(stored.shard, job_id, stored.offset, end - 1)

    async def inputs(self, job: Job) -> views.JobInputs:
        """Returns the inputs and parameters of a job that was read; nothing if they are not kept.

        For a payload above MAX_PREVIEW bytes only its size is returned.
        """
        own, *others = await self._shards.of(job.id)
        for shard in (own, *others):
            payload = shard.key(keys.JOB, job.id)
            try:
                answer = await shard.run(script("inputs"), payload=payload, most_bytes=MAX_PREVIEW)
            except QueueUnavailable:
                if shard is own:
                    raise
                break  # only a job of release 0.1 or of a stock client may be there
            if isinstance(answer, int):
                return views.JobInputs(size=answer)
            if answer:
                return views.preview(answer)
        return views.JobInputs()

    def ended(self, shard: Shard, job_id: str, record: bytes, *, results: bool) -> Job:
        """Returns a job from its record, with or without results. Raises QueueDamaged if it is no record."""
        try:
            return views.terminal(job_id, record, results=results)
        except views.UNREADABLE:
            key = shard.key(keys.RESULT, job_id)
            raise shard.integrity.damaged(key, "holds no record of a job") from None

    async def missing(self, job_id: str, *, sees: str | None) -> JobGone | JobNotFound:
        """Returns the error for a job that was not found, or that the caller may not see.

        JobGone if it is still among the recent jobs of that owner, or its id is older than the default
        lifetime, whether it existed or not. A younger job that asked for a short lifetime, or that had no
        owner, may be gone without a trace. Raises QueueUnavailable.
        """
        created, now = created_ms(job_id), views.now_ms()
        if created is not None and created < now - self._lifetime_ms:
            return self.gone(job_id)
        for shard in await self._shards.of(job_id):
            if sees == "":
                break  # the list of all jobs does not show whose they were
            with suppress(QueueDamaged):  # the listing holds another program's data
                async with availability():
                    listed = await shard.redis.zscore(shard.listing(sees), job_id)
                if listed is not None:
                    return self.gone(job_id)
        if created is None or created > now + CLOCKS_MS:
            return JobNotFound(f"there is no job {job_id}")
        return JobNotFound(
            f"there is no job {job_id}: it was never accepted, or it ended and its own result_ttl is over"
        )

    def gone(self, job_id: str) -> JobGone:
        return JobGone(f"job {job_id} ended and its lifetime is over")

    def _job(self, shard: Shard, job_id: str, parts: Sequence[Any]) -> Job:
        if len(parts) >= STATE_PARTS:
            return self._unfinished(job_id, parts)
        record, *where = parts
        return self.ended(shard, job_id, record, results=not where)

    def _unfinished(self, job_id: str, parts: Sequence[Any]) -> Job:
        inputs, created, lease, attempts, index, place, done, owner = parts[:STATE_PARTS]
        succeeded, failed = map(int, done.split()[:2]) if done else (0, 0)
        return views.unfinished(
            job_id,
            self._models[index],
            Counts(inputs, succeeded, failed),
            created or 0,
            lease,
            attempts,
            self._shards.position(place) if place else None,
            owner.decode(),
        )

    async def find(
        self, job_id: str, inline: int, sees: str | None, watcher: str = "", endings_only: bool = False
    ) -> Found | None:
        """Returns the job; None if no shard has it, or if the caller may not see it. `watcher` as in `job`.

        Raises JobNotFound if its model is not served.
        """
        kept_for_another_model = False
        for shard in await self._shards.of(job_id):
            parts = await self._read(shard, job_id, inline, sees, watcher, endings_only)
            if len(parts) == PARTS_OF_ANOTHER_MODEL:
                kept_for_another_model |= sees is None or parts[1].decode() == sees
            elif parts:
                job = ownership.shown(self._job(shard, job_id, parts), sees)
                return None if job is None else Found(job, shard, parts)
        if kept_for_another_model:
            raise JobNotFound(f"job {job_id} is of a model that this server does not serve; it is kept")
        return None

    async def _read(
        self,
        shard: Shard,
        job_id: str,
        inline: int,
        sees: str | None,
        watcher: str,
        endings_only: bool,
    ) -> list[Any]:
        if watcher:
            with suppress(WritesRefused):
                return await shard.run(  # type: ignore[no-any-return]
                    script("watch"),
                    "",
                    self._models,
                    id=job_id,
                    most_bytes=inline,
                    process=watcher,
                    wanted="e" if endings_only else "a",
                    sees=ownership.argument(sees),
                )
        return await shard.run(script("read"), "", self._models, id=job_id, most_bytes=inline)  # type: ignore[no-any-return]

    async def _slice(self, shard: Shard, job_id: str, first: int, last: int) -> bytes:
        async with self._slices, availability():
            part: bytes = await shard.redis.getrange(shard.key(keys.RESULT, job_id), first, last)
        return part
