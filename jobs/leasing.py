"""What the worker's side of JobQueue takes and gives: claimed jobs, their endings, the depth of a queue."""

from collections.abc import Sequence
from typing import Any

import msgspec

from jobs.schema import JobState


class Depth(msgspec.Struct, frozen=True):
    """A model's unfinished jobs, and the bytes of their payloads."""

    waiting: int
    deferred: int
    running: int
    bytes: int
    oldest_ms: int = 0
    """That the oldest of the 64 next in line has waited since it was accepted."""


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


def claims(answer: Sequence[Any], token: str, now: int) -> list[Claimed]:
    """What `claim.lua` answered, four parts for each job."""
    return [
        Claimed(job_id.decode(), token, payload, int(float(score)), attempts or 0, attempts is not None, now)
        for job_id, payload, score, attempts in zip(*[iter(answer)] * 4, strict=True)
    ]


class Ending(msgspec.Struct, frozen=True):
    """How a leased job ended: `head` is its record less the finish time, which the script adds."""

    id: str
    token: str
    state: JobState
    head: bytes
