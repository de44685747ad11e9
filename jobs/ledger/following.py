"""Following: reads a job and its partial answers for `api/waiting/following.py`."""

from typing import NamedTuple

from jobs.errors import QueueDamaged
from jobs.ledger import keys
from jobs.ledger.partials import SLICE
from jobs.ledger.reading import INLINE_BYTES, Reading
from jobs.ledger.shards import Shards
from jobs.schema import Job
from jobs.store.connection import availability


class Followed(NamedTuple):
    """A job as it is now."""

    job: Job
    partials: int | None
    """Length of its partial answers; None if not known, also for a job that has ended."""


class Following:
    """Reads jobs for an API process that is told of all their changes."""

    def __init__(self, reading: Reading, shards: Shards) -> None:
        self._reading = reading
        self._shards = shards

    async def job(self, job_id: str, watcher: str, *, sees: str | None) -> Followed:
        """Returns the job in one round trip, like `Reading.job`, of whose changes `watcher` is told."""
        if (found := await self._reading.find(job_id, INLINE_BYTES, sees, watcher)) is None:
            raise await self._reading.missing(job_id, sees=sees)
        return Followed(found.job, None if found.ended else found.partials)

    async def partials(self, job_id: str, after: int) -> bytes:
        """Returns up to SLICE bytes of partial answers (`partials.py`) after that position.

        The caller must have been allowed to see the job. Nothing if the key holds another program's data.
        """
        shard, *_ = await self._shards.of(job_id)
        try:
            async with availability():
                found: bytes = await shard.redis.getrange(
                    shard.key(keys.PARTIALS, job_id), after, after + SLICE - 1
                )
        except QueueDamaged:
            return b""
        return found
