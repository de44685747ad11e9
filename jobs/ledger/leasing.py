"""Arguments and results of Claims: claimed jobs, progress, endings; and the check for late lease renewals."""

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from jobs.ledger import keys
from jobs.ledger.shard import Shard, late_ms
from jobs.schema import JobState
from jobs.store.connection import availability

HOLDER = 16
"""Hex digits of a token that name its worker. Tokens of other versions may name no worker."""


PARTS = 6
"""Parts of the answer of `claim.lua` for each job."""


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
    shard: int = 0
    owner: str = ""
    media: int = 0
    """Bytes of the media beside the payload."""

    @property
    def size(self) -> int:
        """Bytes of the payload and of the media beside it."""
        return len(self.payload) + self.media


def claims(answer: Sequence[Any], token: str, now: int, worker: str, shard: int) -> list[Claimed]:
    """Converts the answer of `claim.lua`, six parts for each job, and one if some have media."""
    *jobs, held = answer if len(answer) % PARTS else (*answer, ())
    media = dict(zip(*[iter(held)] * 2, strict=True))
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
            shard=shard,
            owner=owner.decode(),
            media=media.get(job_id, 0),
        )
        for job_id, payload, score, tries, known, owner in zip(*[iter(jobs)] * PARTS, strict=True)
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
    spent: tuple[int, int] | None = None
    """Tokens, and microseconds of the engine, so far; only for a job of a named owner."""


class Ending(msgspec.Struct, frozen=True):
    """The end of a leased job."""

    id: str
    token: str
    state: JobState
    head: bytes
    """Its record's header (`records.encode_head`)."""
    results: bytes = b""
    """JSON; empty if it never ran."""
    terms: bytes = b""
    """As `envelope.terms` returns them."""
    inputs: int = 1


class Lease(NamedTuple):
    """The lease of a running job."""

    holder: str
    """The start of its token: `holder(id)` of its worker."""
    late: bool
    """Whether its renewal is late."""


async def lease(shard: Shard, model: str, job_id: str) -> Lease | None:
    """Returns the job's lease; None if it is not running. Raises QueueUnavailable."""
    async with availability(), shard.redis.pipeline(transaction=False) as pipe:
        pipe.zscore(shard.key(keys.QUEUE, model), job_id)
        pipe.time()
        pipe.getrange(shard.key(keys.LEASE, job_id), 0, HOLDER - 1)
        score, now, token = await pipe.execute(raise_on_error=False)
        for answer in (score, now):
            if isinstance(answer, Exception):
                raise answer
    if score is None or score < keys.RUNNING:
        return None
    left = score - keys.RUNNING - (now[0] * 1000 + now[1] / 1000)
    readable = token if isinstance(token, bytes) else b""  # else another program's data
    return Lease(readable.decode("ascii", "replace"), left <= late_ms(shard.settings))
