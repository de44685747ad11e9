"""Describes in words what value was expected, for a client that sent another, from the types that check it.

The words of the forms are in `api/pages/parameter_fields.py`, which takes those of numbers and texts here.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from jobs.errors import InvalidRequest

MAX_QUOTED = 60
"""Most characters of a wrong value or name that are quoted in a message."""

KINDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number with a point",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
"""msgspec's names of JSON types -> our words."""

_place = re.compile(r"^(?P<message>.*) - at `(?:key` in `)?\$(?P<path>[^`]*)`$", re.DOTALL)
_unknown = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_missing = re.compile(r"^Object missing required field `(?P<name>\w+)`$")
_choice = re.compile(r"^Invalid (?:enum )?value (?P<got>.*)$", re.DOTALL)
_type = re.compile(r"^Expected `[^`]*`, got `(?P<got>\w+)`$")


def explained(error: msgspec.ValidationError, kind: type[msgspec.Struct], of: str) -> InvalidRequest:
    """Returns the error as a sentence that says what is allowed. `of` is the name of the validated member.

    The pointer is that of the wrong part, or of the whole if a member is unknown or missing.
    """
    raw = str(error)
    place = _place.match(raw)
    message, path = (place["message"], place["path"]) if place else (raw, "")
    path = path.partition("[...]")[0]  # msgspec does not name the key of an object's value
    parts = re.findall(r"\.([^.\[]+)|\[(\d+)\]", path)
    pointer = (f"/{of}" if of else "") + "".join(f"/{name or index}" for name, index in parts)
    part = _part({"type": "object", "properties": properties(kind)}, parts)
    if found := _unknown.match(message):
        declared = _fields(part)
        known = f"{'is' if len(declared) == 1 else 'are'} {_joined(declared, 'and') or 'none'}"
        unknown = f"{_quoted(found['name'])} is unknown; there {known}"
        return InvalidRequest(f"{pointer[1:]}: {unknown}" if pointer else unknown, pointer=pointer or None)
    if found := _missing.match(message):
        expected = wanted(_fields(part).get(found["name"], {}))
        missing = f"{found['name']} is missing{f'; give {expected}' if expected else ''}"
        return InvalidRequest(f"{pointer[1:]}: {missing}" if pointer else missing, pointer=pointer or None)
    expected, received = wanted(part), _received(message)
    sentence = f"give {expected}{received}" if expected and (parts or received) else message
    return InvalidRequest(f"{pointer[1:] or 'the body'}: {sentence}", pointer=pointer or None)


def properties(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Returns the JSON Schema of each field, with choices in declaration order, and without references."""
    _, components = msgspec.json.schema_components([kind])
    found: dict[str, Any] = _inlined(components[kind.__name__].get("properties", {}), components)
    for name, hint in get_type_hints(kind).items():
        for each in (hint, *get_args(hint)):
            if get_origin(each) is Literal and "enum" in found[name]:  # msgspec sorts them
                found[name]["enum"] = list(get_args(each))
    return found


def wanted(declared: Mapping[str, Any]) -> str:
    """Describes what a JSON Schema accepts; empty if it accepts anything."""
    schema, nullable = without_null(declared)
    if not schema and "anyOf" in declared:
        each = [wanted(option) for option in declared["anyOf"] if option != {"type": "null"}]
        words = _joined(dict.fromkeys(each), "or") if all(each) else ""
        return f"{words}, or null" if words and nullable else words
    match schema:
        case {"enum": choices}:
            words = _joined(map(str, choices), "or")
        case {"type": "boolean"}:
            words = KINDS["bool"]
        case {"type": "integer"}:
            words = limits("a whole number", schema)
        case {"type": "number"}:
            words = limits("a number", schema)
        case {"type": "string"}:
            words = text(schema)
        case {"type": "array"}:
            words = _list(schema)
        case {"type": "object"}:
            words = KINDS["object"]
        case _:
            return ""
    return f"{words}, or null" if nullable else words


def without_null(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """Returns the schema of the values other than null, and whether null is allowed."""
    options = schema.get("anyOf")
    if options is None:
        return schema, False
    real = [option for option in options if option != {"type": "null"}]
    return (real[0] if len(real) == 1 else {}), len(real) < len(options)


def limits(what: str, schema: Mapping[str, Any]) -> str:
    """Describes a number's range."""
    least, above, most = (schema.get(name) for name in ("minimum", "exclusiveMinimum", "maximum"))
    if least is not None and most is not None:
        return f"{what} from {least:,} to {most:,}"
    if above is not None and most is not None:
        return f"{what} above {above:,}, up to {most:,}"
    if least is not None:
        return f"{what}, {least:,} or more"
    return what


def text(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minLength"), schema.get("maxLength")
    many = f"{least} to {most:,}" if least and most else f"up to {most:,}" if most else ""
    if least and not most:
        many = f"{least} or more"
    return f"a text of {many} characters" if many else "a text"


def _part(schema: Mapping[str, Any], parts: Iterable[tuple[str, str]]) -> Mapping[str, Any]:
    """Returns the schema at that place, given as names and indices; empty if unknown."""
    for name, index in parts:
        schema = _fields(schema).get(name, {}) if name else _entry(schema, int(index))
    return schema


def _fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the schemas of an object's fields; those of all objects that it may be."""
    found: dict[str, Any] = {}
    for option in schema.get("anyOf", [schema]):
        for name, field in option.get("properties", {}).items():
            choices = [*found.get(name, {}).get("enum", ()), *field.get("enum", ())]
            found[name] = {**field, "enum": choices} if choices else field
    return found


def _entry(schema: Mapping[str, Any], index: int) -> Mapping[str, Any]:
    """Returns the schema of a list's entry."""
    for option in schema.get("anyOf", [schema]):
        entries = option.get("prefixItems", ())
        if index < len(entries):
            return entries[index]  # type: ignore[no-any-return]
        if option.get("items"):
            return option["items"]  # type: ignore[no-any-return]
    return {}


def _inlined(schema: Any, components: Mapping[str, Any]) -> Any:
    """Returns the schema with the definitions in place of references to them."""
    if isinstance(schema, list):
        return [_inlined(entry, components) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(components[schema["$ref"].rpartition("/")[2]], components)
    return {
        name: _inlined(value, components)
        for name, value in schema.items()
        if name != "discriminator" or "anyOf" not in schema
    }


def _list(schema: Mapping[str, Any]) -> str:
    least, most, item = schema.get("minItems", 0), schema.get("maxItems"), schema.get("items", {})
    many = "" if most is None else f"{least} to {most:,} " if least else f"up to {most:,} "
    if least and most is None:
        many = f"{least} or more "
    if not item or item.get("type") != "string":
        return f"a list of {many}entries" if many else "a list"
    each = f"{text(item).removeprefix('a text')} each" if "maxLength" in item else ""
    return f"a list of {many}texts{each}"


def _received(message: str) -> str:
    """Returns a clause with the value that was received, if msgspec's message contains it."""
    if found := _choice.match(message):
        return f", not {_quoted(found['got'])}"
    found = _type.match(message)
    return f", not {KINDS[found['got']]}" if found and found["got"] in KINDS else ""


def _quoted(words: str) -> str:
    """Replaces control characters, which could affect a terminal, and truncates."""
    shown = "".join(c if c.isprintable() else "�" for c in words[: MAX_QUOTED + 1])
    return shown if len(words) <= MAX_QUOTED else f"{shown[:MAX_QUOTED]}…"


def _joined(given: Iterable[str], word: str) -> str:
    names = list(given)
    *most, last = names or [""]
    return f"{', '.join(most)} {word} {last}" if most else last
