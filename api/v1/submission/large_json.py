"""Parses large bodies. The number and the structure of the inputs are checked before anything is decoded.

Decoding holds the GIL, and a body of 8 MB can contain millions of lists. So the inputs are first extracted as
bytes, at most as many as the model accepts. Then each one is decoded, checked and encoded in the queue's
format. Only one input at a time exists as Python objects.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.edge.json_shape import check_shape, check_structure
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.inputs import check_count, check_input
from jobs.models import ModelSpec
from jobs.priorities import Priority
from jobs.schema import WEEK, NewJob, new_job
from jobs.tasks import Parameters
from jobs.tasks.inputs import Text
from jobs.validation import explained
from jobs.webhook import Webhook

MAX_PARAMETERS = 256 * 1024
"""Maximum bytes of the JSON of a job's parameters."""
MAX_JSON_FACTOR = 16
"""Factor by which an input's JSON may exceed the input's limit, which does not count spaces and escapes."""


class Envelope(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A JobRequest whose large parts are not decoded."""

    inputs: msgspec.Raw
    model: str | UnsetType = UNSET
    parameters: msgspec.Raw = msgspec.Raw(b"{}")
    priority: Priority = "normal"
    expires_in: Annotated[float, Meta(gt=0, le=WEEK)] | UnsetType = UNSET
    result_ttl: Annotated[float, Meta(ge=1)] | UnsetType = UNSET
    keep_inputs: bool = False
    stream: bool = False
    webhook: Webhook | UnsetType = UNSET


_envelope = msgspec.json.Decoder(Envelope)
_object = msgspec.json.Decoder(dict[str, Any])
_any = msgspec.json.Decoder()
_pack = msgspec.msgpack.Encoder().encode


def parse(body: bytearray, catalog: ModelCatalog) -> NewJob:
    """Returns a job whose inputs are in the queue's format.

    Raises InvalidRequest. If the body is not JSON: msgspec's errors, UnicodeDecodeError or RecursionError.
    """
    envelope = _envelope.decode(body)
    given = decode_parameters(envelope.parameters)
    spec = catalog.default if envelope.model is UNSET else catalog[envelope.model]
    is_list = memoryview(envelope.inputs)[0] == ord("[")
    raw = _split_list(envelope.inputs, spec) if is_list else [envelope.inputs]
    check_count(len(raw), spec)
    admitted = _media if spec.definition.input.has_media else _packed
    return new_job(envelope, given, admitted(raw, spec, is_list), len(raw), spec)


def decode_parameters(raw: msgspec.Raw | bytes) -> dict[str, Any]:
    """Decodes the JSON of a job's parameters. Raises InvalidRequest; if it is not JSON, msgspec's errors.

    It is decoded by itself, so their byte offsets are those within it.
    """
    size = len(memoryview(raw))
    if size > MAX_PARAMETERS:
        raise InvalidRequest(
            f"parameters: {size} bytes of JSON are more than the limit of {MAX_PARAMETERS}",
            pointer="/parameters",
        )
    try:
        parameters = _object.decode(raw)
    except msgspec.ValidationError as error:
        raise explained(error, Parameters, "parameters") from None
    check_shape(parameters, "/parameters")
    return parameters


def _split_list(raw: msgspec.Raw, spec: ModelSpec) -> list[msgspec.Raw]:
    """The list's members, at most one more than the model accepts."""
    members = msgspec.structs.astuple(_members(spec.max_inputs + 1).decode(raw))
    return [member for member in members if member is not None]


@lru_cache
def _members(count: int) -> msgspec.json.Decoder[Any]:
    """A decoder for the first `count` members of a list, each as bytes. It skips the other members."""
    fields = [(f"member{i}", msgspec.Raw, None) for i in range(count)]
    return msgspec.json.Decoder(msgspec.defstruct("Members", fields, array_like=True))


def _packed(raw: list[msgspec.Raw], spec: ModelSpec, is_list: bool) -> msgspec.Raw:
    """The inputs in the queue's format."""
    packed = bytearray(_pack([None] * len(raw))[: -len(raw)] if is_list else b"")
    for item in _admitted(raw, spec, is_list):
        packed += _pack(item)
    return msgspec.Raw(packed)


def _media(raw: list[msgspec.Raw], spec: ModelSpec, is_list: bool) -> Any:
    """The inputs with their media as bytes, which take less memory than their JSON."""
    admitted = list(_admitted(raw, spec, is_list))
    return admitted if is_list else admitted[0]


def _admitted(given: list[msgspec.Raw], spec: ModelSpec, is_list: bool) -> Iterator[Any]:
    """Each input in the form in which its job carries it."""
    kind = spec.definition.input
    for index, raw in enumerate(given):
        pointer = f"/inputs/{index}" if is_list else "/inputs"
        if kind.opens and memoryview(raw)[:1] != kind.opens:
            check_input(None, spec, pointer)  # its error says what was expected
        elif kind.is_json or bytes(memoryview(raw)[:1]) != Text.opens:
            check_input_json(bytes(raw), spec, pointer)
        try:
            item = _any.decode(raw)
        except (
            msgspec.DecodeError,
            UnicodeDecodeError,
        ) as error:  # such as bytes of a text that are no UTF-8
            raise InvalidRequest(f"inputs: this is not valid JSON: {error}", pointer) from None
        check_shape(item, pointer)
        yield kind.admit(item, spec.limits, pointer)


def check_input_json(data: bytes, spec: ModelSpec, pointer: str) -> None:
    """Raises InvalidRequest if the JSON would take too long to decode."""
    limit = MAX_JSON_FACTOR * spec.max_input_chars + 2 * spec.limits.max_input_bytes
    if len(data) > limit:
        raise InvalidRequest(
            f"inputs: {len(data)} bytes of JSON exceed this model's limit of {limit}, which follows from its"
            " max_input_chars in models.toml",
            pointer=pointer,
        )
    check_structure(data, pointer)
