"""Writes the files of outputs to Redis, before anybody can read the outcomes that name them."""

from collections.abc import Iterator, Sequence

from jobs.ledger.claims import Claims
from worker.engine.protocol import OutputFile
from worker.leases.leased_job import LeasedJob

MAX_WRITE_BYTES = 1024 * 1024
"""Bytes of files after which no more are added to one write: Redis serves no other client meanwhile."""


async def write_files(claims: Claims, jobs: Sequence[LeasedJob]) -> None:
    """Writes all files of the jobs that are not in Redis yet.

    Raises QueueUnavailable, or ResponseError if Redis refuses one of them.
    """
    for part in list(_parts(jobs)):
        await claims.store([(job.claimed, file.name, file.content) for job, file in part])
        written = {id(file) for _, file in part}
        for job in jobs:
            job.unwritten = [file for file in job.unwritten if id(file) not in written]


def _parts(jobs: Sequence[LeasedJob]) -> Iterator[list[tuple[LeasedJob, OutputFile]]]:
    part: list[tuple[LeasedJob, OutputFile]] = []
    size = 0
    for job in jobs:
        for file in job.unwritten:
            part.append((job, file))
            size += len(file.content)
            if size >= MAX_WRITE_BYTES:
                yield part
                part, size = [], 0
    if part:
        yield part
