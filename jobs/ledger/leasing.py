"""What Claims takes and returns: claimed jobs and their endings; and what a lease says about its worker."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.schema import JobState
from jobs.settings import Settings
from jobs.store.connection import availability

LATE = 2
"""Times `renew_every` after which a lease that was not renewed tells that its worker may be lost. A lease
lasts three at least. A worker that was killed is still on the roster by then: there is no gap between."""


class Claimed(msgspec.Struct, frozen=True):
    """A job leased to this worker."""

    id: str
    token: str
    payload: bytes
    score: int
    attempts: int
    """Times that it was started before."""
    returned: bool
    """Whether it comes back from a worker that was lost, started or not."""
    claimed_ms: int
    """Unix ms by the server's clock."""
    known: int = 0
    """Outcomes of its inputs that a worker before noted in its progress."""


def claims(answer: Sequence[Any], token: str, now: int) -> list[Claimed]:
    """What `claim.lua` answered, five parts for each job."""
    return [
        Claimed(job_id.decode(), token, payload, int(float(score)), tries or 0, tries is not None, now, known)
        for job_id, payload, score, tries, known in zip(*[iter(answer)] * 5, strict=True)
    ]


class Progress(NamedTuple):
    """What has become known of a leased job since the last time."""

    id: str
    token: str
    before: int
    """Outcomes that were noted already."""
    succeeded: int
    failed: int
    """Inputs with an output, and inputs that failed, in all."""
    outcomes: Sequence[bytes]
    """Each as JSON, an object with the input's `index`."""


class Ending(msgspec.Struct, frozen=True):
    """How a leased job ended: `head` is its record less the finish time, which the script adds."""

    id: str
    token: str
    state: JobState
    head: bytes


def late_ms(settings: Settings) -> int:
    """Milliseconds that a lease has left at most when its worker is late to renew it."""
    return int(1000 * (settings.lease - LATE * settings.renew_every))


async def is_late(redis: ArqRedis, settings: Settings, model: str, job_id: str) -> bool:
    """Whether the job runs on a lease that should have been renewed by now. Raises QueueUnavailable."""
    async with availability(), redis.pipeline(transaction=False) as pipe:
        pipe.zscore(keys.QUEUE.of(model), job_id)
        pipe.time()
        score, (seconds, microseconds) = await pipe.execute()
    if score is None or score < keys.RUNNING:
        return False
    left = score - keys.RUNNING - (seconds * 1000 + microseconds / 1000)
    return bool(left <= late_ms(settings))
