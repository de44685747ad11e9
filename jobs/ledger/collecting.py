"""Collecting: takes the results of ended jobs out of Redis, for a sender that keeps them elsewhere.

The runner of batches does: it reads a job's results once, writes them to a file, and gives the memory back.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from jobs.ledger import keys, views
from jobs.ledger.reading import INLINE_BYTES, Found, Reading, Stored
from jobs.ledger.shards import Shards
from jobs.ledger.submitting import digest_of
from jobs.schema import Job
from jobs.store.connection import availability

FINGERPRINT = 32
"""Bytes before the job's id in what is kept of an idempotency key."""

MAX_IDS = 200
"""Most jobs that are forgotten in one command."""


class Ended(NamedTuple):
    """An ended job with its results, however large they are."""

    job: Job
    results: bytes | bytearray | None
    """JSON, a list aligned with the inputs; None if the job never ran."""
    lengths: list[int] | None
    """Length of each input, by which the job's tokens can be divided; None if they are not known."""


class Collecting:
    """Reads ended jobs whole, and forgets them."""

    def __init__(self, reading: Reading, shards: Shards) -> None:
        self._reading = reading
        self._shards = shards

    async def ended(self, job_id: str, *, sees: str | None) -> Ended | None:
        """Returns the job, or None if it has not ended. Raises like `Reading.job`."""
        match await self._reading.find(job_id, INLINE_BYTES, sees):
            case None:
                raise await self._reading.missing(job_id, sees=sees)
            case Found(job, shard, [record]):
                inline = None if job.results is None else bytes(job.results)  # type: ignore[arg-type]
                return Ended(job, inline, views.lengths(record))
            case Found(job, shard, [head, offset, size]):
                results = await self._reading.results(Stored(job, shard, offset, size, head))
                return Ended(job, results, views.lengths(head))
        return None

    async def submitted(self, idempotency_key: str, owner: str) -> str | None:
        """Returns the id of the job that the owner submitted with the key; None if there was none, or if
        the key is no longer kept. Raises QueueUnavailable."""
        digest = digest_of(idempotency_key, owner)
        shard = await self._shards.home_of_key(digest, owner)
        async with shard.integrity.intact():
            known: bytes | None = await shard.redis.get(shard.key(keys.IDEMPOTENCY, digest))
        return None if known is None else known[FINGERPRINT:].decode()

    async def forget(self, job_ids: Iterable[str]) -> None:
        """Deletes the records of ended jobs, and the files of their outputs. Raises QueueUnavailable.

        The caller has read them and submitted them itself: they are not checked.
        """
        by_shard = defaultdict(list)
        for job_id in job_ids:
            by_shard[(await self._shards.of(job_id))[0]].append(job_id)
        for shard, ids in by_shard.items():
            for start in range(0, len(ids), MAX_IDS):
                names = [
                    shard.key(kind, job_id)
                    for job_id in ids[start : start + MAX_IDS]
                    for kind in (keys.RESULT, keys.FILES)
                ]
                async with availability():
                    await shard.redis.unlink(*names)
