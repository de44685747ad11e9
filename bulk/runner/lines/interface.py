"""What the runner of batches needs from this room: `Lines`, which runs a chunk of lines."""

import asyncio
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from bulk.batches.batch import Batch
from jobs.models import ModelSpec

Reason = Literal["cancelled", "expired", "failed"]


class Stop:
    """Tells the chunks of a batch that no more of their lines may begin."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.reason: Reason | None = None

    def set(self, reason: Reason) -> None:
        self.reason = self.reason or reason
        self.event.set()

    def __bool__(self) -> bool:
        return self.reason is not None

    @property
    def immediate(self) -> bool:
        """Whether no further chunk begins. At the end of the window, each of them still gets its rows."""
        return self.reason in ("cancelled", "failed")


class Line(NamedTuple):
    """A line of an input file, which was validated."""

    number: int
    """From 1, in the file."""
    custom_id: str
    body: bytes
    """The body of its request: JSON that was not decoded yet, and may be wrong."""


class Rows(NamedTuple):
    """The outcomes of a chunk's lines: each line has one row, or is in `left`."""

    output: Sequence[bytes]
    """Rows of the output file: JSON without a line break."""
    errors: Sequence[bytes]
    """Rows of the error file."""
    left: Sequence[Line] = ()
    """Lines without an outcome, only after a stop. Their jobs are cancelled."""
    tokens: int = 0
    """Tokens of the inputs of the lines that have an outcome."""
    jobs: Sequence[str] = ()
    """Their ended jobs, for `Lines.release`."""


class Lines(Protocol):
    """Runs lines as jobs."""

    def model(self, endpoint: str, body: bytes, allowed: frozenset[str]) -> ModelSpec:
        """The model that a line asks for, from its body, of those that the sender may use (empty: all).

        Raises UnknownModel; InvalidRequest if the body is no JSON object. Other faults of a body are the
        line's own outcome and do not fail the batch.
        """

    def lines_per_chunk(self, endpoint: str, spec: ModelSpec) -> int:
        """How many lines a chunk has at most: a few hundred, or a few for a model that generates texts."""

    def chunks_at_once(self, endpoint: str, spec: ModelSpec) -> int:
        """How many chunks of one batch run at once, so that the workers always have enough to do."""

    async def run(self, batch: Batch, chunk: int, lines: Sequence[Line], stop: Stop) -> Rows:
        """Runs the lines and returns their outcomes. Every line of the batch is of one model.

        The jobs are submitted for `batch.asked.sender` with the priority `low` and with idempotency keys made
        of the batch and the lines' numbers, so that a runner that continues after another finds its jobs.
        Redis that cannot be reached, full queues and limits of the sender are waited for. After a `stop` it
        cancels its jobs and returns what is known. If the task is cancelled, its jobs continue: a later call
        finds them.
        """

    async def release(self, jobs: Sequence[str]) -> None:
        """Deletes the results of jobs whose rows are stored and whose chunk is done, to free Redis' memory.

        They are kept for a day otherwise. Raises QueueUnavailable; then it need not be tried again.
        """


def row_id(batch_id: str, number: int) -> str:
    """The id of a line's row, the same whenever the line runs again."""
    return f"batch_req_{batch_id.removeprefix('batch_')}_{number}"
