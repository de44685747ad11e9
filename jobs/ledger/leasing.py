"""Arguments and results of Claims: claimed jobs, progress, endings; and the check for late lease renewals."""

import hashlib
import secrets
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


HOLDER = 16
"""Hex digits of a token that name its worker. Tokens of other versions may name no worker."""


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
    worker: str = ""
    """Id of this worker."""


def claims(answer: Sequence[Any], token: str, now: int, worker: str) -> list[Claimed]:
    """Converts the answer of `claim.lua`, five parts for each job."""
    return [
        Claimed(
            id=job_id.decode(),
            token=token,
            payload=payload,
            score=int(float(score)),
            attempts=tries or 0,
            returned=tries is not None,
            claimed_ms=now,
            known=known,
            worker=worker,
        )
        for job_id, payload, score, tries, known in zip(*[iter(answer)] * 5, strict=True)
    ]


def new_token(worker: str) -> str:
    """Returns a token for one claim: 16 hex digits that name the worker, and 64 random bits."""
    return holder(worker) + secrets.token_hex(8)


def holder(worker: str) -> str:
    """Returns the start of the tokens of a worker's leases, a digest of its id."""
    return hashlib.sha256(worker.encode()).hexdigest()[:HOLDER]


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


class Lease(NamedTuple):
    """The lease of a running job."""

    holder: str
    """The start of its token: `holder(id)` of its worker."""
    late: bool
    """Whether its renewal is late."""


async def lease(redis: ArqRedis, settings: Settings, model: str, job_id: str) -> Lease | None:
    """Returns the job's lease; None if it is not running. Raises QueueUnavailable."""
    async with availability(), redis.pipeline(transaction=False) as pipe:
        pipe.zscore(keys.QUEUE.of(model), job_id)
        pipe.time()
        pipe.getrange(keys.LEASE.of(job_id), 0, HOLDER - 1)
        score, (seconds, microseconds), token = await pipe.execute(raise_on_error=False)
    if isinstance(score, Exception):
        raise score
    if score is None or score < keys.RUNNING:
        return None
    left = score - keys.RUNNING - (seconds * 1000 + microseconds / 1000)
    readable = token if isinstance(token, bytes) else b""  # else another program's data
    return Lease(readable.decode("ascii", "replace"), left <= late_ms(settings))
