"""Payloads and events as msgpack, payloads in arq's own layout; never pickle. Records: `records.py`.

A stock arq client can use it with `serialize` and `deserialize`:

    from arq import create_pool
    from arq.connections import RedisSettings
    from jobs.ledger.keys import queue_name
    from jobs.ledger.wire import deserialize, serialize

    address = RedisSettings.from_dsn("redis://127.0.0.1:6379/0")
    redis = await create_pool(address, job_serializer=serialize, job_deserializer=deserialize)
    job = await redis.enqueue_job("infer", ["A fine film."], _queue_name=queue_name("sentiment"))
    results = await job.result()
"""

import asyncio
from collections.abc import Container, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from jobs.errors import JobFailed
from jobs.ledger import records
from jobs.ledger.envelope import Envelope
from jobs.ledger.keys import queue_name
from jobs.media import values
from jobs.schema import JobState

FUNCTION = "infer"
"""The arq function name of an inference job: its argument is the inputs, its keywords are the envelope."""

_EXCEPTION = 1
"""msgpack extension code of an exception: [class name, message]."""


K = TypeVar("K")


class Payload(msgspec.Struct, Generic[K], kw_only=True):
    """A waiting job, with arq's field names.

    The order of the fields matters: `submit.lua` appends the value of the last, `et`, and `payload.lua` reads
    `k` without the inputs after it.
    """

    t: int | None = None
    f: str = FUNCTION
    k: K = msgspec.field(default_factory=dict)  # type: ignore[assignment]
    """The envelope: written as an Envelope; not validated when read: a stock client may send anything."""
    a: list[Any]
    """[inputs]: one input, or a list of inputs."""
    et: int
    """Creation time, Unix ms by the server's clock."""


class PackedPayload(Payload[dict[str, Any]], kw_only=True):
    """A payload whose arguments are not decoded."""

    a: list[msgspec.Raw]


class Event(msgspec.Struct, array_like=True):
    """One published transition."""

    id: str
    state: str
    record: bytes | None = None
    """The record of a terminal state, if it is small enough for the message."""
    succeeded: int | None = None
    failed: int | None = None
    """Inputs with an output, and failed inputs, of a running job that made progress."""
    position: int | None = None
    """Position of new partial answers of a running job (`partials.py`)."""
    partials: bytes | None = None
    """These answers, if they are small enough for the message."""


_OURS = b"\x85\xa1t\xc0\xa1f\xa5infer\xa1k"
"""Start of the payloads that `submit` wrote, as in `payload.lua`."""

_encoder = msgspec.msgpack.Encoder(enc_hook=values.to_ext)
_payloads = msgspec.msgpack.Decoder(Payload[dict[str, Any]], ext_hook=values.from_ext)
_events = msgspec.msgpack.Decoder(list[Event])

_packed_payloads = msgspec.msgpack.Decoder(PackedPayload)
_lists = msgspec.msgpack.Decoder(list[msgspec.Raw])

TEXTS = {*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB}
BYTES = {0xC4, 0xC5, 0xC6}
LISTS = {*range(0x90, 0xA0), 0xDC, 0xDD}
"""First bytes of msgpack's texts, bytes and lists."""

_UINT64 = 9
"""Bytes of a msgpack uint64; every Unix time in ms is encoded as one."""
_SOME_TIME = 2**40


def encode_payload(inputs: Any, envelope: Envelope) -> bytes:
    """Encodes a payload without the value of `et`."""
    return _encoder.encode(Payload(a=[inputs], k=envelope, et=_SOME_TIME))[:-_UINT64]


def packed(inputs: Any) -> msgspec.Raw:
    """Returns the inputs as they are in a payload, so that they are encoded once."""
    return inputs if isinstance(inputs, msgspec.Raw) else msgspec.Raw(_encoder.encode(inputs))


def members(inputs: Any) -> list[Any]:
    """Returns the inputs of a job, each by itself; a msgspec.Raw if it is in the queue's format."""
    if isinstance(inputs, msgspec.Raw):
        return _lists.decode(inputs) if begins(inputs, LISTS) else [inputs]
    return inputs if isinstance(inputs, list) else [inputs]


def decode_payload(data: bytes, *, packed: bool = False) -> Payload[dict[str, Any]]:
    """Decodes a payload. Raises msgspec.MsgspecError if it is not one, such as a stock client's pickle.

    `packed`: inputs other than texts stay msgpack, each a msgspec.Raw. A few MB can hold millions of lists;
    decoding them takes seconds and a hundred times the memory.
    """
    if not packed:
        return _payloads.decode(data)
    payload = _packed_payloads.decode(data)
    payload.a = [_members(argument) for argument in payload.a]
    return payload


def _members(argument: msgspec.Raw) -> Any:
    if begins(argument, LISTS):
        return [_text_or_packed(member) for member in _lists.decode(argument)]
    return _text_or_packed(argument)


def _text_or_packed(value: msgspec.Raw) -> Any:
    return msgspec.msgpack.decode(value) if begins(value, TEXTS) else value


def is_ours(payload: bytes) -> bool:
    """Whether `submit` wrote the payload, rather than a stock client."""
    return payload.startswith(_OURS)


def begins(raw: msgspec.Raw, with_one_of: Container[int]) -> bool:
    """Whether the value's first byte is one of these, such as TEXTS."""
    return memoryview(raw)[0] in with_one_of


def decode_events(data: bytes) -> list[Event]:
    return _events.decode(data)


def serialize(data: dict[str, Any]) -> bytes:
    """`job_serializer` for a stock arq client or worker."""
    return msgspec.msgpack.encode(data, enc_hook=_encode_exception)


def deserialize(data: bytes) -> dict[str, Any]:
    """`job_deserializer` for a stock arq client or worker; a failed job's result is an exception."""
    if data[:1] != records.MARK:
        fields: dict[str, Any] = msgspec.msgpack.decode(data, ext_hook=_decode_exception)
        if "state" not in fields:
            return fields
    header, finished, found = records.decode_record(data)
    state = records.STATES[header.state]
    results = None if found is None else msgspec.json.decode(found)
    succeeded = state is JobState.SUCCEEDED
    return {
        "f": FUNCTION,
        "a": [],
        "k": {},
        "s": succeeded,
        "r": results if succeeded else _failure(state, results),
        "t": header.attempts,
        "et": header.created,
        "st": header.started,
        "ft": finished,
        "q": queue_name(header.model),
    }


def _failure(state: JobState, results: Sequence[dict[str, Any]] | None) -> BaseException:
    if state is JobState.CANCELLED:
        return asyncio.CancelledError("the job was cancelled")
    if results is None:
        return JobFailed(f"the job {state}")
    return JobFailed(results[0]["error"]["detail"])


def _encode_exception(value: Any) -> msgspec.msgpack.Ext:
    if isinstance(value, BaseException):
        return msgspec.msgpack.Ext(_EXCEPTION, _encoder.encode([type(value).__name__, str(value)]))
    raise NotImplementedError(f"cannot encode {type(value).__name__}")


def _decode_exception(code: int, data: memoryview) -> Any:
    if code != _EXCEPTION:
        return msgspec.msgpack.Ext(code, bytes(data))
    name, message = msgspec.msgpack.decode(data, type=tuple[str, str])
    if name == "CancelledError":
        return asyncio.CancelledError(message)
    return JobFailed(f"{name}: {message}")
