"""Makes inputs of the parts of a form.

inputs             one input, a medium or a text; several parts make a list, in their order
inputs.NAME        one value of the only input, which has several values, such as an image and a question
inputs.INDEX.NAME  one value of one of several inputs, counted from 0

Several parts with the same name of a value are a list of values.
"""

from typing import Any

import msgspec

from api.v1.submission.large_json import check_input_json
from api.v1.submission.multipart import Part
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.tasks.inputs import Input, Record

NAME = "inputs"
PREFIX = "inputs."
JSON = "application/json"


def read(parts: list[Part], spec: ModelSpec) -> Any:
    """The inputs, as they would be in JSON, except that media are bytes. Raises InvalidRequest."""
    plain = [part for part in parts if part.name == NAME]
    if plain and len(plain) < len(parts):
        raise InvalidRequest(
            "inputs: the form has parts named inputs and parts named inputs.NAME; use one way", "/inputs"
        )
    if not plain:
        return _records(parts, spec)
    many = len(plain) > 1
    values = [_value(part, spec, None, f"/inputs/{i}" if many else "/inputs") for i, part in enumerate(plain)]
    return values if many or isinstance(values[0], list) else values[0]  # a part is one input, also a list


def text(part: Part, pointer: str, model: str = "") -> str:
    """The part's text. `model` expects it, if it belongs to an input. Raises InvalidRequest."""
    try:
        return part.data.decode()
    except UnicodeDecodeError:
        who = f"model {model} expects no medium there" if model else "no medium is expected there"
        raise InvalidRequest(
            f"{pointer[1:]}: the part is not UTF-8 text, and {who}", pointer=pointer
        ) from None


def _records(parts: list[Part], spec: ModelSpec) -> Any:
    records: dict[int | None, dict[str, list[Any]]] = {}
    for part in parts:
        index, field = _place(part.name)
        pointer = f"/inputs/{field}" if index is None else f"/inputs/{index}/{field}"
        values = records.setdefault(index, {}).setdefault(field, [])
        values.append(_value(part, spec, field, pointer))
    joined = {
        index: {field: values if len(values) > 1 else values[0] for field, values in record.items()}
        for index, record in records.items()
    }
    if joined.keys() == {None}:
        return joined[None]
    if joined.keys() != set(range(len(joined))):
        raise InvalidRequest(
            "inputs: name the parts of several inputs inputs.0.NAME, inputs.1.NAME and so on", "/inputs"
        )
    return [joined[index] for index in range(len(joined))]


def _place(name: str) -> tuple[int | None, str]:
    """The index of the input, if there are several, and the name of the value."""
    first, dot, rest = name.removeprefix(PREFIX).partition(".")
    if not dot:
        return None, first
    if not (first.isascii() and first.isdecimal() and len(first) < 5) or "." in rest:
        raise InvalidRequest(
            f"inputs: {name[:60]!r} is neither inputs.NAME nor inputs.INDEX.NAME", pointer="/inputs"
        )
    return int(first), rest


def _value(part: Part, spec: ModelSpec, field: str | None, pointer: str) -> Any:
    """The part as a medium, a text or JSON; `field` is None for a whole input."""
    kind = spec.definition.input
    if kind.is_medium(field):
        return (
            part.data
            if part.is_file or part.content_type not in ("", "text/plain")
            else text(part, pointer, spec.name)
        )
    if part.content_type != JSON and not (field is None and kind.is_json):
        return text(part, pointer, spec.name)
    check_input_json(part.data, spec, pointer)
    try:
        return msgspec.json.decode(part.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        advice = _advice(kind) if field is None else ""
        raise InvalidRequest(
            f"{pointer[1:]}: the part is not valid JSON: {reason}{advice}", pointer
        ) from None


def _advice(kind: Input) -> str:
    """For a file or a text where an input has several values: how to send them one by one."""
    if not isinstance(kind, Record):
        return ""
    names = ", ".join(f"{PREFIX}{name}" for name in kind.forms[0].__struct_fields__)
    return f"; an input of this model has several values, which may be parts of their own: {names}"
