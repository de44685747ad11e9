"""Arguments and results of Claims: claimed jobs, progress, endings; and the check for late lease renewals."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.schema import JobState
from jobs.settings import Settings
from jobs.store.connection import availability

LATE = 2
"""Multiple of `renew_every` after which an unrenewed lease means that its worker may be lost. A lease lasts
at least three. A killed worker is still on the roster then, so there is no time at which neither shows it."""


class Claimed(msgspec.Struct, frozen=True):
    """A job leased to this worker."""

    id: str
    token: str
    payload: bytes
    score: int
    attempts: int
    """Earlier starts of the job."""
    returned: bool
    """Whether a worker was lost while it held the job, started or not."""
    claimed_ms: int
    """Time of the claim, in Unix ms by the server's clock."""
    known: int = 0
    """Outcomes of its inputs that earlier workers noted in its progress."""


def claims(answer: Sequence[Any], token: str, now: int) -> list[Claimed]:
    """Converts the answer of `claim.lua`, five parts for each job."""
    return [
        Claimed(job_id.decode(), token, payload, int(float(score)), tries or 0, tries is not None, now, known)
        for job_id, payload, score, tries, known in zip(*[iter(answer)] * 5, strict=True)
    ]


class Progress(NamedTuple):
    """Outcomes of a leased job that are known since the previous note."""

    id: str
    token: str
    before: int
    """Number of outcomes noted before."""
    succeeded: int
    failed: int
    """Total inputs with an output, and total inputs that failed."""
    outcomes: Sequence[bytes]
    """Each as JSON, an object with the input's `index`."""


class Ending(msgspec.Struct, frozen=True):
    """The end of a leased job: `head` is its record without the finish time, which the script adds."""

    id: str
    token: str
    state: JobState
    head: bytes


def late_ms(settings: Settings) -> int:
    """Returns the remaining milliseconds of a lease at or below which its renewal is late."""
    return int(1000 * (settings.lease - LATE * settings.renew_every))


async def is_late(redis: ArqRedis, settings: Settings, model: str, job_id: str) -> bool:
    """Returns whether the job runs on a lease whose renewal is late. Raises QueueUnavailable."""
    async with availability(), redis.pipeline(transaction=False) as pipe:
        pipe.zscore(keys.QUEUE.of(model), job_id)
        pipe.time()
        score, (seconds, microseconds) = await pipe.execute()
    if score is None or score < keys.RUNNING:
        return False
    left = score - keys.RUNNING - (seconds * 1000 + microseconds / 1000)
    return bool(left <= late_ms(settings))
