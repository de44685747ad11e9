"""Converts a pipeline's output to plain Python and to JSON bytes; refuses what JSON cannot express."""

import math
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

import msgspec

from worker.engine.pipelines.files import File, FileLinks


def _no_files(value: Any) -> Any:
    """`enc_hook` without links. Raises NotImplementedError with a sentence."""
    if isinstance(value, File):
        raise NotImplementedError("a class that returns files must have the attribute writes_files = True")
    raise NotImplementedError(f"Encoding objects of type {type(value).__name__} is unsupported")


_ENCODER = msgspec.json.Encoder(enc_hook=_no_files)
_SCALARS = frozenset({str, int, float, bool, type(None)})
_STRINGS = frozenset({str})


class NotJson(ValueError):
    """Why an output, or a part of it, cannot be JSON without loss. May take the output's place."""


def plain(value: Any) -> Any:
    """Returns `value` with its arrays, tensors and NumPy scalars turned into lists and numbers.

    Everything else is unchanged: later `encode_output` turns sets and named tuples into lists, dataclasses
    into objects, and bytes (base64), dates, UUIDs and Decimals into strings. Raises NotJson if JSON would
    keep one of two keys of a dict, or make a string of a Decimal that is no number.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is list or kind is tuple:
        # Checking the types handles a list of a thousand floats without a call for each.
        return value if _SCALARS.issuperset(map(type, value)) else [plain(entry) for entry in value]
    if isinstance(value, dict):
        converted = {plain(key): plain(entry) for key, entry in value.items()}
        if not _STRINGS.issuperset(map(type, converted)):
            _check_keys(converted)
        return converted
    if hasattr(value, "tolist"):
        listed = value.tolist()
        # An array of Python objects may contain anything.
        return plain(listed) if getattr(getattr(value, "dtype", None), "kind", "") == "O" else listed
    if isinstance(value, tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, Decimal) and not value.is_finite():
        raise NotJson(f"the output contains {value!r}, which JSON cannot express")
    if kind is msgspec.Raw:
        _check_json(value)
    for entry in _parts(value):
        plain(entry)
    return value


def _check_json(raw: msgspec.Raw) -> None:
    """Raises NotJson unless it is JSON, because it is copied unchanged."""
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(f"the output contains a msgspec.Raw that is not JSON: {error}") from None


def _check_keys(converted: dict[Any, Any]) -> None:
    """Raises NotJson for keys that JSON cannot express or would merge, such as 1 and "1"."""
    for key in converted:
        if isinstance(key, float | Decimal) and not math.isfinite(key):
            raise NotJson(f"the output has the key {key!r}, which JSON cannot express")
    names = msgspec.json.decode(_ENCODER.encode(dict.fromkeys(converted)))
    if len(names) < len(converted):
        raise NotJson(
            f"the output has {len(converted)} keys, of which JSON keeps {len(names)}: it merges 1 and '1'"
        )


def _parts(value: Any) -> Iterable[Any]:
    """Returns the values of the fields of a dataclass or a msgspec.Struct."""
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in fields(value)]
    return [getattr(value, name) for name in getattr(value, "__struct_fields__", ())]


def encode_output(output: Any, files: FileLinks | None = None) -> bytes:
    """Returns the output as JSON. Raises ValueError, in one sentence, if JSON cannot express it.

    With `files`, a File becomes a link, and `files` has its content.
    """
    if isinstance(output, NotJson):
        raise output
    try:
        encoded = _ENCODER.encode(output) if files is None else _encode_with_files(output, files)
        # msgspec writes NaN and Infinity as null; only a result with a null is searched for them.
        finite = b"null" not in encoded or _is_finite(msgspec.to_builtins(output, enc_hook=_nothing))
    except Exception as error:
        raise ValueError(f"the output is not JSON: {error}") from error
    if not finite:
        raise ValueError("the output contains NaN or Infinity, which JSON cannot express")
    return encoded


def _encode_with_files(output: Any, files: FileLinks) -> bytes:
    return msgspec.json.encode(output, enc_hook=files.link)


def _nothing(value: Any) -> None:
    """`enc_hook` for a File, which contains no numbers, when an output is searched for them."""


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_finite, value))
    return True
