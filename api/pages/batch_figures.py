"""A batch as a page shows it: its progress, rate and time left, and the reasons of its failed lines."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from bulk.batches.batch import Batch, BatchState

MAX_LINES = 100
"""Most failed lines that a page shows."""

MAX_BYTES = 1024 * 1024
"""Most bytes of an error file that are read for them."""

MAX_REASON = 300
"""Most characters of a reason."""

UNKNOWN = "no reason was given"

TOO_LONG = "the line is too long to be shown here; it is in the error file"

PILLS = {
    BatchState.VALIDATING: "queued",
    BatchState.IN_PROGRESS: "running",
    BatchState.FINALIZING: "running",
    BatchState.CANCELLING: "queued",
    BatchState.COMPLETED: "succeeded",
}
"""State -> that of a job whose colour it has. The others have the colours of jobs with their names."""


class BatchFigures(NamedTuple):
    """One batch. None means that a figure is not known."""

    batch: Batch
    done: int
    rate: float | None
    """Requests per second since it began."""
    left: float | None
    """Seconds until its end, at that rate."""
    took: float | None
    """Seconds from its beginning to its end."""

    @property
    def state(self) -> str:
        """The state in words."""
        return self.batch.status.replace("_", " ")

    @property
    def pill(self) -> str:
        """The style of the state."""
        return PILLS.get(self.batch.status, self.batch.status.value)

    @property
    def path(self) -> str:
        return f"/batches/{self.batch.id}"

    @property
    def created(self) -> datetime:
        return moment(self.batch.created_at)

    @property
    def times(self) -> list[tuple[str, datetime]]:
        """The states that it has reached, each with its time."""
        found = self.batch
        reached = (
            ("Created", found.created_at),
            ("Started", found.in_progress_at),
            ("Cancelled by its owner", found.cancelling_at),
            ("Finalizing", found.finalizing_at),
            ("Completed", found.completed_at),
            ("Failed", found.failed_at),
            ("Expired", found.expired_at),
            ("Cancelled", found.cancelled_at),
        )
        return [(name, moment(at)) for name, at in reached if at is not None]


def moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def figures(batch: Batch, now: int) -> BatchFigures:
    """The figures of a batch at a time, in Unix ms."""
    total, completed, failed = batch.counts
    done, start = completed + failed, batch.in_progress_at
    ends = (batch.completed_at, batch.failed_at, batch.expired_at, batch.cancelled_at)
    end = next((at for at in ends if at is not None), None)
    if start is None:
        return BatchFigures(batch, done, None, None, None)
    seconds = ((end or now) - start) / 1000
    rate = done / seconds if done and seconds > 0 else None
    running = batch.status is BatchState.IN_PROGRESS
    left = (total - done) / rate if rate and running else None
    return BatchFigures(batch, done, rate, left, seconds if end else None)


class FailedLine(NamedTuple):
    """A line of the input that has no output, and why."""

    custom_id: str
    status: int | None
    reason: str


class _Response(msgspec.Struct):
    status_code: int | None = None
    body: msgspec.Raw = msgspec.Raw(b"{}")


class _Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Line(msgspec.Struct):
    custom_id: str = ""
    response: _Response | None = None
    error: _Error | None = None


class _Said(msgspec.Struct):
    error: Any = None
    detail: str | None = None
    title: str | None = None


async def failed_lines(content: AsyncIterator[bytes]) -> Sequence[FailedLine]:
    """The first lines of an error file."""
    found = bytearray()
    async with aclosing(content) as parts:  # type: ignore[type-var]
        async for part in parts:
            found += part
            if len(found) >= MAX_BYTES or found.count(b"\n") >= MAX_LINES:
                break
    whole = found[: found.rfind(b"\n") + 1]
    if found and not whole:
        return [FailedLine(_custom_id(found), None, TOO_LONG)]
    return [_failed(line) for line in whole.splitlines()[:MAX_LINES]]


_CUSTOM_ID = re.compile(rb'"custom_id":("(?:[^"\\]|\\.)*")')


def _custom_id(beginning: bytearray) -> str:
    """That of a line of which only the beginning was read: rows have it before their responses."""
    try:
        return msgspec.json.decode(shown[1], type=str) if (shown := _CUSTOM_ID.search(beginning)) else ""
    except msgspec.DecodeError:
        return ""


def _failed(line: bytearray) -> FailedLine:
    try:
        read = msgspec.json.decode(line, type=_Line)
        status = read.response.status_code if read.response else None
        return FailedLine(read.custom_id, status, _reason(read)[:MAX_REASON])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return FailedLine("", None, "the line cannot be read")


def _reason(line: _Line) -> str:
    if line.response is None:
        error = line.error or _Error()
        return error.message or error.code or UNKNOWN
    try:
        said = msgspec.json.decode(line.response.body, type=_Said)
        if isinstance(said.error, dict):  # OpenAI's form; ours is that of RFC 9457
            return str(said.error.get("message") or UNKNOWN)
        return said.detail or said.title or UNKNOWN
    except msgspec.DecodeError:
        return UNKNOWN
