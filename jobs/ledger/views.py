"""Converts the ledger's data (payloads, leases, records) to the Job that clients see."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from jobs.ledger.records import STATES, decode_record
from jobs.ledger.wire import BYTES, LISTS, TEXTS, Event, begins, decode_payload
from jobs.media import values
from jobs.problem_kinds import failure
from jobs.schema import BatchSummary, Counts, Job, JobState, NewJob, ResultError, Timings, from_ms, urls

TOKEN = 32
"""Hex digits of a lease's token; the rest is the start in Unix ms, or 0 until the first batch has started."""


MAX_SHOWN = 25
"""Most inputs of a job that a page shows."""

STRUCTURE = 16 * 1024
"""Most bytes of lists, objects and numbers that are decoded for display; texts do not count."""

MAX_RECORD = 256 * 1024
"""Most bytes of a record whose fields are looked at, to find its texts and media."""

RAN = "sf"
"""States, as in a record, of jobs that have an outcome for each input."""

UNREADABLE = (KeyError, msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
"""Errors raised for data that is not a payload or record, or whose times are invalid."""


def now_ms() -> int:
    """Returns Unix ms by this machine's clock. Use it for the ages of ids, never for deadlines."""
    return time.time_ns() // 1_000_000


def accepted(job_id: str, job: NewJob, created: int, position: int) -> Job:
    """Returns the view of a job that `submit` has just accepted."""
    return Job(
        id=job_id,
        model=job.model,
        status=JobState.QUEUED,
        created_at=from_ms(created),
        position=position,
        counts=Counts(job.count, 0, 0),
        timings=Timings(None, None, None),
        urls=urls(job_id),
    )


def unfinished(
    job_id: str,
    model: str,
    counts: Counts,
    created: int,
    lease: bytes | None,
    attempts: int,
    position: int | None,
    owner: str,
) -> Job:
    """Returns the view of a waiting or leased job. `created` is 0 if the payload has no creation time."""
    started = int(lease[TOKEN:]) if lease else 0
    return Job(
        id=job_id,
        model=model,
        status=JobState.RUNNING if lease else JobState.QUEUED,
        created_at=from_ms(created),
        started_at=from_ms(started) if started else None,
        attempts=attempts,
        position=position,
        counts=counts,
        timings=Timings(float(started - created) if started else None, None, None),
        owner=owner or msgspec.UNSET,
        urls=urls(job_id),
    )


def progressed(job: Job, event: Event) -> Job:
    """Returns a running job with the counts of a progress event."""
    counts = replace(job.counts, succeeded=event.succeeded or 0, failed=event.failed or 0)
    return replace(job, counts=counts)


def terminal(job_id: str, data: bytes, *, results: bool = True) -> Job:
    """Returns the view of an ended job from its record; the results are UNSET if they were cut out."""
    record = decode_record(data)
    job, ran = record.header, record.header.state in RAN
    started = job.started if job.attempts else None  # 0 if a worker was lost and it was not started again
    found = None if record.results is None else msgspec.Raw(record.results)
    return Job(
        id=job_id,
        model=job.model,
        status=STATES[job.state],
        created_at=from_ms(job.created),
        started_at=from_ms(started) if started else None,
        finished_at=from_ms(record.finished),
        attempts=job.attempts,
        results=found if results else msgspec.UNSET,
        counts=Counts(job.n, job.n - job.failed if ran else 0, job.failed, job.tokens),
        timings=Timings(
            float((started or record.finished) - job.created),
            job.compute,
            float(record.finished - job.created),
        ),
        batch=BatchSummary(*job.batch) if job.batch else None,
        first_error=ResultError(**failure(*job.error)) if job.error else None,
        worker=job.worker,
        owner=job.owner or msgspec.UNSET,
        urls=urls(job_id),
    )


def order(data: bytes) -> list[int] | None:
    """Returns a job's input indices in the order in which their outcomes became known, if recorded."""
    return decode_record(data).header.order


def lengths(data: bytes) -> list[int] | None:
    """Returns the length of each of a job's inputs, if recorded."""
    return decode_record(data).header.lengths


class JobInputs(msgspec.Struct, frozen=True):
    """A job's inputs and parameters, as far as they are still known."""

    inputs: Sequence[object] = ()
    """UNSET for each input that was not decoded because it has too much structure."""
    parameters: dict[str, Any] = {}
    single: bool = False
    """Whether the input was given by itself, not in a list."""
    partial: bool = False
    """Whether this is incomplete: there are more inputs, or some were not decoded."""
    size: int = 0
    """Bytes of a payload that is too large to be read; the other fields are empty then."""
    keep: bool = False
    """Whether the request asked to keep them after the job's end."""


def inputs_of(payload: bytes) -> JobInputs:
    """Returns the inputs and parameters of a payload; nothing if it cannot be decoded."""
    try:
        decoded = decode_payload(payload)
        given, extras = decoded.a[0], decoded.k
    except (*UNREADABLE, IndexError):
        return JobInputs()
    many = isinstance(given, list)
    return JobInputs(given if many else [given], _parameters(extras), not many, keep=_keep(extras))


def _parameters(extras: object) -> dict[str, Any]:
    found = extras.get("parameters") if isinstance(extras, dict) else None
    return found if isinstance(found, dict) else {}


def _keep(extras: object) -> bool:
    return isinstance(extras, dict) and extras.get("keep_inputs") is True


class _First(msgspec.Struct, array_like=True):
    """The first of a payload's arguments, not decoded."""

    inputs: msgspec.Raw = msgspec.Raw()


class _Outline(msgspec.Struct):
    """A payload whose large parts are not decoded."""

    a: _First
    k: msgspec.Raw = msgspec.Raw(b"\x80")


_outline = msgspec.msgpack.Decoder(_Outline)
_some = msgspec.msgpack.Decoder(
    msgspec.defstruct(
        "Some", [(f"input{i}", msgspec.Raw, None) for i in range(MAX_SHOWN + 1)], array_like=True
    )
)
_any = msgspec.msgpack.Decoder(ext_hook=values.from_ext)
_fields = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])


def preview(payload: bytes) -> JobInputs:
    """Returns what a page shows of a payload: its parameters and first inputs, or all if it is small.

    Nothing if it cannot be decoded. One byte of msgpack can be a list, which takes more than 50 bytes as a
    Python object. So texts of any size are decoded, but only STRUCTURE bytes of other values.
    """
    if len(payload) <= STRUCTURE:
        return inputs_of(payload)
    try:
        outline = _outline.decode(payload)
        given = outline.a.inputs
        many = begins(given, LISTS)
        members = [each for each in msgspec.structs.astuple(_some.decode(given)) if each] if many else [given]
        left, inputs = STRUCTURE, list[object]()
        for raw in [outline.k, *members[:MAX_SHOWN]]:
            size = _structure(raw)
            inputs.append(_any.decode(raw) if size <= left else msgspec.UNSET)
            left -= size if size <= left else 0
    except (*UNREADABLE, IndexError):
        return JobInputs()
    extras = inputs.pop(0)
    partial = len(members) > MAX_SHOWN or extras is msgspec.UNSET or msgspec.UNSET in inputs
    return JobInputs(inputs, _parameters(extras), not many, partial, keep=_keep(extras))


def _structure(raw: msgspec.Raw) -> int:
    """Returns the bytes of a value that are neither texts nor media, of a record of them too."""
    size = len(memoryview(raw))
    if begins(raw, TEXTS) or begins(raw, BYTES):
        return 0
    if not STRUCTURE < size <= MAX_RECORD:
        return size
    try:
        fields = _fields.decode(raw).values()
    except msgspec.MsgspecError:
        return size
    return size - sum(len(memoryview(one)) for one in fields if begins(one, TEXTS) or begins(one, BYTES))


def input_count(args: list[object]) -> int:
    """Returns a payload's number of inputs; at least one, because a stock client may enqueue anything."""
    given = args[0] if args else None
    return max(1, len(given)) if isinstance(given, list) else 1
