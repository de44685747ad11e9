"""A model's parameters as form fields, made from their JSON Schema, and what was typed there as JSON."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from api.catalog import parameters_schema
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec

PREFIX = "p."
"""Before a parameter's name in the form."""


class Field(NamedTuple):
    """One parameter. An empty value leaves it out, so that the pipeline's default holds."""

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


def fields(spec: ModelSpec, given: Mapping[str, str]) -> list[Field]:
    """The form's fields, holding what was given."""
    schema = parameters_schema(spec)
    needed = schema.get("required", [])
    return [
        _field(name, declared, given.get(PREFIX + name, ""), name in needed)
        for name, declared in schema.get("properties", {}).items()
    ]


def parameters(spec: ModelSpec, form: Mapping[str, str]) -> dict[str, Any]:
    """What was typed, by each field's type. Raises InvalidRequest; limits are for others to check."""
    declared = parameters_schema(spec).get("properties", {})
    return {
        name: _parsed(name, schema, text)
        for name, schema in declared.items()
        if (text := form.get(PREFIX + name, "").replace("\r\n", "\n").strip())
    }


def typed(values: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as somebody would have typed them."""
    return {PREFIX + name: _typed(value) for name, value in values.items()}


def _field(name: str, declared: dict[str, Any], value: str, required: bool) -> Field:
    schema, nullable = _without_null(declared)
    label = name.replace("_", " ")
    match schema:
        case {"enum": [*choices]}:
            words = tuple(str(choice) for choice in choices)
            return Field(PREFIX + name, label, "choice", "", value, required, words)
        case {"type": "boolean"}:
            return Field(PREFIX + name, label, "choice", "", value, required, ("true", "false"))
        case {"type": "integer" | "number" as kind}:
            hint = _range("a whole number" if kind == "integer" else "a number", schema)
            if nullable:  # a number field takes no words
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
    return Field(PREFIX + name, label, "json", f"JSON: {schema.get('type', 'any value')}", value, required)


def _parsed(name: str, declared: dict[str, Any], text: str) -> Any:
    schema, nullable = _without_null(declared)
    if nullable and text == "null":
        return None
    match schema:
        case {"enum": _} | {"type": "string"}:
            return text
        case {"type": "array", "items": {"type": "string"}}:
            return [line.strip() for line in text.split("\n") if line.strip()]
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        kind = schema.get("type", "JSON")
        raise InvalidRequest(
            f"{name}: give {'an' if kind[0] in 'aio' else 'a'} {kind}, not {text!r}"
        ) from None
    return value


def _without_null(schema: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    options = schema.get("anyOf")
    if options is None:
        return schema, False
    real = [option for option in options if option != {"type": "null"}]
    return (real[0] if len(real) == 1 else {}), len(real) < len(options)


def _range(what: str, schema: Mapping[str, Any]) -> str:
    least, above, most = (schema.get(name) for name in ("minimum", "exclusiveMinimum", "maximum"))
    if least is not None and most is not None:
        return f"{what} from {least:,} to {most:,}"
    if above is not None and most is not None:
        return f"{what} above {above:,}, up to {most:,}"
    return what


def _typed(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(entry, str) for entry in value):
        return "\n".join(value)
    return msgspec.json.encode(value).decode()
