"""Records of ended jobs, compact, because each is kept in memory for its lifetime.

byte 0       0xc1, which begins no msgpack; a record of release 0.1 is a msgpack map
bytes 1-8    finish time in Unix ms, filled in by the script that ends the job (`conclude.lua`)
bytes 9-10   length of the header in bytes, big-endian
...          header: the fields of `Header`, a msgpack array
...          results: a JSON list aligned with the inputs, each `{"output": ...}` or `{"error": ...}`;
             nothing if the job never ran
"""

import struct
from typing import NamedTuple

import msgspec

from jobs.ledger.keys import model_of
from jobs.problem_kinds import failure
from jobs.schema import JobState

_START = struct.Struct(">BQH")
ARRAY_16, STR_8 = 0xDC, 0xD9
"""msgpack's bytes before the size of a longer list or text; one byte begins a shorter one, with its size."""
MARK = b"\xc1"
"""First byte of a record."""

STATES = {state.value[0]: state for state in JobState if state.terminal}
"""First letter of a terminal state -> the state; a header has only the letter."""


class Header(msgspec.Struct, array_like=True, kw_only=True):
    """What is known of an ended job, without its id (its key has it) and results.

    Add fields at the end only. `terminate.lua` writes the first seven, and knows the place of the owner.
    """

    model: str
    state: str
    """A key of STATES."""
    n: int
    """Number of inputs."""
    failed: int = 0
    """Number of failed inputs of a job that ran."""
    attempts: int
    """Times that it was started; 0 if never."""
    created: int
    started: int
    """Unix ms by the server's clock; `started` is meaningless without an attempt."""
    tokens: int | None = None
    """Tokens of the job's inputs; None if they were not counted."""
    compute: float | None = None
    """Total milliseconds of its micro-batches."""
    batch: tuple[float, float | None] | None = None
    """Mean number of items in its micro-batches, and the share of padding among their tokens."""
    error: tuple[str, str] | None = None
    """Kind of failure and detail of the first failed input."""
    worker: str | None = None
    """Id of the worker that ended it."""
    order: list[int] | None = None
    """Input indices in the order in which their outcomes became known; None for a job without progress."""
    owner: str = ""
    """The job's owner; not written for the anonymous one, so that its records are as small as before."""
    lengths: list[int] | None = None
    """Length of each input, by which the job's tokens can be divided; only of a job that is part of a group
    (`Envelope.group`), whose inputs are of several requests."""


class Record(NamedTuple):
    """A decoded record."""

    header: Header
    finished: int
    """Unix ms by the server's clock."""
    results: bytes | None
    """JSON; None if the job never ran, or if the results were not read."""


_encoder = msgspec.msgpack.Encoder()
_FIELDS = len(Header.__struct_fields__)
_WITHOUT_LENGTHS, _WITHOUT_OWNER = bytes([0x90 + _FIELDS - 1]), bytes([0x90 + _FIELDS - 2])
"""First bytes of a header without its last fields: msgpack's list of up to 15 members."""
_NO_LENGTHS = _encoder.encode(None)
_NO_OWNER = _encoder.encode("")
_headers = msgspec.msgpack.Decoder(Header)


def encode_head(header: Header) -> bytes:
    """Encodes the header with its length: what precedes the results, after the finish time."""
    encoded = _encoder.encode(header)
    if header.lengths is None:
        end = len(encoded) - len(_NO_LENGTHS)
        if header.owner:
            encoded = _WITHOUT_LENGTHS + encoded[1:end]
        else:
            encoded = _WITHOUT_OWNER + encoded[1 : end - len(_NO_OWNER)]
    return len(encoded).to_bytes(2) + encoded


def decode_record(data: bytes) -> Record:
    """Decodes a record, with or without its results. Raises msgspec.MsgspecError or ValueError."""
    if data[:1] != MARK:
        return _of_release_0_1(data)
    try:
        _, finished, length = _START.unpack_from(data)
    except struct.error:
        raise ValueError("the record is incomplete") from None
    end = _START.size + length
    return Record(_headers.decode(data[_START.size : end]), finished, data[end:] or None)


def summary(start: bytes) -> tuple[str, int] | None:
    """Returns the model and the finish time (Unix ms) from the start of a record.

    The start may be cut after the model. None for a record of release 0.1, or if it is no record.
    """
    try:
        mark, finished, _ = _START.unpack_from(start)
        at = _START.size + (3 if start[_START.size] == ARRAY_16 else 1)
        at, size = (at + 2, start[at + 1]) if start[at] == STR_8 else (at + 1, start[at] & 31)
    except (struct.error, IndexError):
        return None
    return (start[at : at + size].decode("utf-8", "replace"), finished) if mark == MARK[0] else None


class _Record01(msgspec.Struct):
    """A record of release 0.1, with arq's field names and a few more."""

    q: str
    t: int
    et: int
    st: int
    n: int
    state: str
    ft: int
    r: bytes | None = None
    failed: int = 0
    tokens: int | None = None
    compute: float | None = None
    batch: tuple[float, float | None] | None = None
    error: tuple[str, str] | None = None
    worker: str | None = None
    order: list[int] | None = None


_records_01 = msgspec.msgpack.Decoder(_Record01)


def _of_release_0_1(data: bytes) -> Record:
    old = _records_01.decode(data)
    header = Header(
        model=model_of(old.q),
        state=old.state[:1],
        n=old.n,
        failed=old.failed,
        attempts=old.t,
        created=old.et,
        started=old.st,
        tokens=old.tokens,
        compute=old.compute,
        batch=old.batch,
        error=old.error,
        worker=old.worker,
        order=old.order,
    )
    return Record(header, old.ft, old.r)


def detail_of_unread(error: tuple[str, str]) -> bytes:
    """Encodes the further fields, up to `error`, of the header of a job that could not be read."""
    return b"\xc0\xc0\xc0" + _encoder.encode(error)


def results_of_unread(error: tuple[str, str]) -> bytes:
    """Returns the results of that job, whose number of inputs is unknown: one error."""
    return msgspec.json.encode([{"error": failure(*error)}])
