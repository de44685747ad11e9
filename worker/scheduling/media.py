"""Fetches the media beside the payloads of claimed jobs, and puts them in the places of their references.

A medium that is gone or damaged fails its input alone. If Redis does not respond, no job fails: it is dropped
and claimed again when its lease ends.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from structlog.typing import FilteringBoundLogger

from jobs.ledger import beside
from jobs.media.values import Medium, Stored, changed
from worker.engine.protocol import Failure
from worker.leases.leased_job import LeasedJob
from worker.leases.leases import Leases

MAX_READ = 5.0
"""Most seconds to wait for media, besides the time that their bytes may take."""

SLOWEST = 4_000_000
"""Bytes per second at least."""


async def fetch(jobs: Sequence[LeasedJob], leases: Leases, log: FilteringBoundLogger) -> None:
    """Completes the inputs of the jobs, which this worker holds. Drops jobs whose shard does not respond.

    Raises QueueUnavailable only during a stop.
    """
    by_shard: dict[int, dict[str, list[Stored]]] = defaultdict(dict)
    for job in jobs:
        if references := beside.references(job.inputs):
            by_shard[job.claimed.shard][job.id] = references
    for shard, wanted in by_shard.items():
        some = [job for job in jobs if job.claimed.shard == shard and job.id in wanted]
        size = sum(one.size for references in wanted.values() for one in references)
        try:
            async with asyncio.timeout(MAX_READ + size / SLOWEST):
                found = await leases.media(shard, wanted)
        except TimeoutError:  # its shard was lost just now; jobs of others must not wait for it
            for job in some:
                if leases.holds(job):
                    leases.drop(job)
            continue
        faults = await asyncio.to_thread(_faults, wanted, found)
        for job in some:
            _complete(job, found[job.id], faults[job.id], log)


def _faults(
    wanted: Mapping[str, Sequence[Stored]], found: Mapping[str, Sequence[bytes | None]]
) -> dict[str, list[str]]:
    """What is wrong with each medium; empty if nothing is."""
    return {
        job_id: [beside.fault(one, medium) for one, medium in zip(references, found[job_id], strict=True)]
        for job_id, references in wanted.items()
    }


def _complete(
    job: LeasedJob, media: Sequence[bytes | None], faults: Sequence[str], log: FilteringBoundLogger
) -> None:
    left: Iterator[tuple[bytes | None, str]] = iter(zip(media, faults, strict=True))
    for index, one in enumerate(job.inputs):
        wrong: list[str] = []

        def medium(given: Medium, wrong: list[str] = wrong) -> Medium:
            if not isinstance(given, Stored):
                return given
            content, fault = next(left)
            if fault or content is None:
                wrong.append(fault)
                return b""
            return content

        job.inputs[index] = changed(one, medium)
        if wrong:
            log.error("media lost", job=job.id, input=index, error=wrong[0])
            job.settle(index, Failure("input-failed", f"not run: {wrong[0]}"))
