"""What the worker's side of JobQueue takes and gives: claimed jobs, their endings, the depth of a queue."""

import msgspec

from jobs.schema import JobState


class Depth(msgspec.Struct, frozen=True):
    """A model's unfinished jobs, and the bytes of their payloads."""

    waiting: int
    deferred: int
    running: int
    bytes: int


class Claimed(msgspec.Struct, frozen=True):
    """A job leased to this worker."""

    id: str
    token: str
    payload: bytes
    score: int
    attempts: int
    """Times that it was started before."""
    claimed_ms: int
    """Unix ms by the server's clock."""


class Ending(msgspec.Struct, frozen=True):
    """How a leased job ended: `head` is its record less the finish time, which the script adds."""

    id: str
    token: str
    state: JobState
    head: bytes
