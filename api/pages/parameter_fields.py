"""Makes form fields from the JSON Schema of a model's parameters, and parameters from the typed text."""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from api.edge.json_shape import check_shape
from api.v1.model_schemas import parameters_schema
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.validation import MAX_QUOTED, limits, text, without_null

PREFIX = "p."
"""The prefix of parameters' names in the form."""


class Field(NamedTuple):
    """The field of one parameter. If its value is empty, the parameter is not sent and has its default."""

    name: str
    label: str
    kind: Literal["choice", "number", "text", "lines", "json"]
    hint: str
    value: str
    required: bool
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    step: str = "any"
    default: str = ""
    """The model's default as text; empty if the pipeline's default is used."""


def fields(spec: ModelSpec, given: Mapping[str, str]) -> list[Field]:
    """The form's fields with the given values."""
    schema = parameters_schema(spec)
    needed = schema.get("required", [])
    return [
        _field(name, declared, given.get(PREFIX + name, ""), name in needed)._replace(
            default=_typed(declared["default"]) if "default" in declared else ""
        )
        for name, declared in schema.get("properties", {}).items()
    ]


def parameters(spec: ModelSpec, form: Mapping[str, str]) -> dict[str, Any]:
    """The typed values, parsed by the type of each field. Raises InvalidRequest. Does not check limits."""
    given: dict[str, Any] = {}
    for name, schema in parameters_schema(spec).get("properties", {}).items():
        if text := _text(form, name):
            try:
                given[name] = _parsed(schema, text)
                check_shape(given[name], f"/parameters/{name}")
            except (msgspec.DecodeError, RecursionError):
                raise _fault(spec, form, name) from None
    return given


def at_field(spec: ModelSpec, form: Mapping[str, str], error: InvalidRequest) -> InvalidRequest:
    """The error as a message about the form's field, if it concerns a parameter; else the error itself."""
    found = re.match(r"parameters(?:/(\w+)|: (\w+) is missing)", str(error))
    return _fault(spec, form, found[1] or found[2]) if found else error


def typed(values: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as the text of their fields."""
    return {PREFIX + name: _typed(value) for name, value in values.items()}


def _field(name: str, declared: dict[str, Any], value: str, required: bool) -> Field:
    schema, nullable = without_null(declared)
    label = name.replace("_", " ")
    match schema:
        case {"enum": [*choices]}:
            words = tuple(str(choice) for choice in choices)
            return Field(PREFIX + name, label, "choice", "", value, required, words)
        case {"type": "boolean"}:
            return Field(PREFIX + name, label, "choice", "", value, required, ("true", "false"))
        case {"type": "integer" | "number" as kind}:
            hint = limits("a whole number" if kind == "integer" else "a number", schema)
            if nullable:  # a number field does not accept null
                return Field(PREFIX + name, label, "text", f"{hint}, or null for no limit", value, required)
            least = schema.get("minimum", schema.get("exclusiveMinimum"))
            step = "1" if kind == "integer" else "any"
            return Field(
                PREFIX + name, label, "number", hint, value, required, (), least, schema.get("maximum"), step
            )
        case {"type": "array", "items": {"type": "string"}}:
            return Field(PREFIX + name, label, "lines", "one per line", value, required)
        case {"type": "string"}:
            return Field(PREFIX + name, label, "text", "", value, required)
    if words := _choices(declared):
        return Field(PREFIX + name, label, "choice", "", value, required, words)
    kinds = [each.get("type", "any value") for each in declared.get("anyOf", [schema])]
    return Field(PREFIX + name, label, "json", f"JSON: {' or '.join(kinds)}", value, required)


def _choices(declared: dict[str, Any]) -> tuple[str, ...]:
    """The choices of a parameter that is a word or true or false; () for any other."""
    words: list[str] = []
    for option in declared.get("anyOf", ()):
        if option == {"type": "boolean"}:
            words += ["true", "false"]
        elif choices := option.get("enum"):
            words += map(str, choices)
        else:
            return ()
    return tuple(words)


def _fault(spec: ModelSpec, form: Mapping[str, str], name: str) -> InvalidRequest:
    """An error that names what the field accepts and the invalid text."""
    declared = parameters_schema(spec).get("properties", {}).get(name, {})
    field, (schema, _) = _field(name, declared, "", False), without_null(declared)
    match field.kind:
        case "choice":
            wanted = f"choose one of {', '.join(field.choices)}"
        case "lines":
            length = schema["items"].get("maxLength", 0)
            wanted = f"give up to {schema.get('maxItems', 0):,} lines of up to {length:,} characters each"
        case "json":
            kinds = field.hint.removeprefix("JSON: ").removeprefix("any ")
            wanted = f"give {_with_article(kinds)} as JSON"
        case _:
            wanted = f"give {field.hint or text(schema)}"
    typed_in = _text(form, name)
    but = f", not {typed_in!r}" if 0 < len(typed_in) <= MAX_QUOTED else ""
    return InvalidRequest(f"{field.label}: {wanted}{but}", pointer=f"/parameters/{name}")


def _text(form: Mapping[str, str], name: str) -> str:
    return form.get(PREFIX + name, "").replace("\r\n", "\n").strip()


def _with_article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aio' else 'a'} {kind}"


def _parsed(declared: dict[str, Any], text: str) -> Any:
    """The typed text as a value. Raises msgspec's errors if it is not JSON."""
    schema, nullable = without_null(declared)
    if nullable and text == "null":
        return None
    match schema:
        case {"enum": _} | {"type": "string"}:
            return text
        case _ if text in _choices(declared) and text not in ("true", "false"):
            return text
        case {"type": "array", "items": {"type": "string"}}:
            return [line.strip() for line in text.split("\n") if line.strip()]
    return msgspec.json.decode(text)


def _typed(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(entry, str) for entry in value):
        return "\n".join(value)
    return msgspec.json.encode(value).decode()
