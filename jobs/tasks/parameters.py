"""Parameters of a job: the base of every task's parameters, and those that a custom pipeline declares.

The API validates parameters before it accepts a job. Omitted parameters are not forwarded, so the pipeline's
own default applies.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobs.validation import explained

Text = Annotated[str, Meta(min_length=1, max_length=1_000)]
TopK = Annotated[int, Meta(ge=1, le=1_000)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Temperature = Annotated[float, Meta(ge=0.0001, le=100)]
"""With a lower one the quotients may be infinite. No token can be drawn then, and a GPU's process is lost."""
Encoding = Literal["float", "base64"]
"""Of vectors in an output: lists of numbers, or the base64 of each vector's little-endian float32."""


class Parameters(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Base of every task's parameters: an unknown parameter is an error, an omitted one stays unset."""


PARAMETER_TYPES: dict[str, type] = {
    "string": str,
    "number": float,
    "integer": int,
    "boolean": bool,
    "array": list[Any],
    "object": dict[str, Any],
}
"""Type names for a custom pipeline's parameters in `models.toml` -> Python types."""


def custom_parameters(declared: dict[str, str]) -> type[Parameters]:
    """Returns the type of a custom pipeline's parameters, from name -> type name; all are optional.

    Raises KeyError for a type name that is not in `PARAMETER_TYPES`.
    """
    fields = [(name, PARAMETER_TYPES[kind] | UnsetType, UNSET) for name, kind in declared.items()]
    built: Any = msgspec.defstruct("CustomParameters", fields, bases=(Parameters,), frozen=True)
    return built  # type: ignore[no-any-return]


def without_required(kind: type[Parameters]) -> type[Parameters]:
    """Returns the same parameters, all optional, for validating a model's defaults."""
    fields = [(field.name, field.type | UnsetType, UNSET) for field in msgspec.structs.fields(kind)]
    built: Any = msgspec.defstruct(kind.__name__, fields, bases=(Parameters,), frozen=True)
    return built  # type: ignore[no-any-return]


def validate(parameters: dict[str, Any], allowed: type[Parameters], of: str = "parameters") -> dict[str, Any]:
    """Returns the validated parameters without unset ones.

    Raises InvalidRequest that names the wrong parameter as a member of `of`.
    """
    try:
        valid = msgspec.convert(parameters, allowed, strict=True)
    except msgspec.ValidationError as error:
        raise explained(error, allowed, of) from None
    built: dict[str, Any] = msgspec.to_builtins(valid)
    return built
