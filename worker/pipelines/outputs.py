"""What a pipeline returned, as plain Python and as JSON bytes."""

import math
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()
_SCALARS = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """`value` with its arrays, tensors and NumPy scalars turned into lists and numbers.

    Whatever else is in it stays as it is.
    """
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is list or kind is tuple:
        # A list of a thousand floats is told from its types, without a call for each.
        return value if _SCALARS.issuperset(map(type, value)) else [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {plain(key): plain(entry) for key, entry in value.items()}
    if hasattr(value, "tolist"):
        return value.tolist()
    return value


def encode_output(output: Any) -> bytes:
    """The output as JSON. Raises ValueError, in one sentence, where JSON has no way to say it."""
    try:
        encoded = _ENCODER.encode(output)
        # msgspec writes NaN and Infinity as null; only an answer with a null in it is searched for them.
        finite = b"null" not in encoded or _is_finite(msgspec.to_builtins(output))
    except Exception as error:
        raise ValueError(f"the output is not JSON: {error}") from error
    if not finite:
        raise ValueError("the output holds NaN or Infinity, which JSON cannot express")
    return encoded


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return True
