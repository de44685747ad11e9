"""Batch: a file of requests, its state, and the transitions between states. Names and states are OpenAI's."""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from jobs.owners import Sender
from jobs.webhook import BatchWebhook

ENDPOINTS = (
    "/v1/embeddings",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/moderations",
    "/v1/rerank",
    "/v1/jobs",
)
"""The interfaces whose requests a batch may contain."""

MAX_FAULTS = 100
"""Most faults of an input file that its batch lists."""


class BatchState(StrEnum):
    """The state of a batch."""

    VALIDATING = "validating"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return not TRANSITIONS[self]


TRANSITIONS: dict[BatchState, frozenset[BatchState]] = {
    BatchState.VALIDATING: frozenset({BatchState.FAILED, BatchState.IN_PROGRESS, BatchState.CANCELLING}),
    # failed: objects of the batch are gone from the storage, or the code fails on it again and again
    BatchState.IN_PROGRESS: frozenset({BatchState.FINALIZING, BatchState.CANCELLING, BatchState.FAILED}),
    BatchState.FINALIZING: frozenset({BatchState.COMPLETED, BatchState.EXPIRED, BatchState.FAILED}),
    BatchState.CANCELLING: frozenset({BatchState.CANCELLED, BatchState.FAILED}),
    BatchState.FAILED: frozenset(),
    BatchState.COMPLETED: frozenset(),
    BatchState.EXPIRED: frozenset(),
    BatchState.CANCELLED: frozenset(),
}


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with an input file, in OpenAI's words."""

    code: str
    message: str
    line: int | None = None
    """From 1; None if it is the whole file."""
    param: str | None = None


class Counts(NamedTuple):
    """Requests of a batch: all, those with an answer, and those with an error."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client asked for, which does not change."""

    endpoint: str
    input_file_id: str
    completion_window: str
    """As the client wrote it, such as `24h`."""
    window: int
    """The same in seconds."""
    sender: Sender
    """Who sends the jobs of the batch."""
    models: frozenset[str] = frozenset()
    """The models that the sender may use; empty for all."""
    media_file_id: str | None = None
    """The archive with media that the lines name, if any."""
    webhook: BatchWebhook | None = None
    """Whom to tell of its end, besides the owner's endpoints."""
    metadata: dict[str, str] | None = None
    output_expires_after: int | None = None
    """Seconds for which the output files are kept; None for the default."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as it is in Redis. Times are Unix ms by the server's clock, None while not reached."""

    id: str
    asked: Asked
    status: BatchState
    created_at: int
    expires_at: int
    """When its window ends."""
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    counts: Counts = Counts()
    tokens: int = 0
    """Tokens of the inputs of the requests that have ended."""
    model: str | None = None
    """The model of all its requests, once validated."""
    faults: tuple[Fault, ...] = ()
    output_file_id: str | None = None
    error_file_id: str | None = None
    chunks: int = 0
    """Number of its chunks, once validated."""
    table: str | None = None
    """Name of the object that lists its chunks, once validated (`bulk/runner/parts.py`)."""
    lost: int = 0
    """Runners that were lost in succession while they ran it, without progress of the batch in between."""
    outcome: BatchState | None = None
    """While it is finalizing: the state that follows."""

    @property
    def owner(self) -> str:
        return self.asked.sender.owner
