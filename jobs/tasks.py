"""The tasks a model can have, and the parameters that each allows; `worker/engine/pipelines` runs them.

Parameters are validated at the edge, before a job is accepted; what a client left out is not
forwarded, so the pipeline's own default holds.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobs.validation import explained

Text = Annotated[str, Meta(min_length=1, max_length=1_000)]
TopK = Annotated[int, Meta(ge=1, le=1_000)]
Probability = Annotated[float, Meta(gt=0, le=1)]


class Parameters(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Base of every task's parameters: an unknown one is an error, one left out stays unset."""


class TextClassification(Parameters, frozen=True):
    top_k: TopK | UnsetType | None = UNSET
    function_to_apply: Literal["sigmoid", "softmax", "none"] | UnsetType = UNSET


class TokenClassification(Parameters, frozen=True):
    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] | UnsetType = UNSET
    ignore_labels: Annotated[list[Text], Meta(max_length=100)] | UnsetType = UNSET


class FeatureExtraction(Parameters, frozen=True):
    pooling: Literal["none", "mean", "cls"] | UnsetType = UNSET
    normalize: bool | UnsetType = UNSET


class ZeroShotClassification(Parameters, frozen=True):
    candidate_labels: Annotated[list[Text], Meta(min_length=1, max_length=100)]
    hypothesis_template: Text | UnsetType = UNSET
    multi_label: bool | UnsetType = UNSET


class FillMask(Parameters, frozen=True):
    top_k: TopK | UnsetType = UNSET
    targets: Annotated[list[Text], Meta(min_length=1, max_length=100)] | UnsetType = UNSET


class TextGeneration(Parameters, frozen=True):
    max_new_tokens: Annotated[int, Meta(ge=1, le=4_096)] | UnsetType = UNSET
    do_sample: bool | UnsetType = UNSET
    temperature: Annotated[float, Meta(gt=0, le=100)] | UnsetType = UNSET
    top_k: TopK | UnsetType = UNSET
    top_p: Probability | UnsetType = UNSET
    repetition_penalty: Annotated[float, Meta(gt=0, le=100)] | UnsetType = UNSET
    return_full_text: bool | UnsetType = UNSET


TASKS: dict[str, type[Parameters]] = {
    "text-classification": TextClassification,
    "token-classification": TokenClassification,
    "feature-extraction": FeatureExtraction,
    "zero-shot-classification": ZeroShotClassification,
    "fill-mask": FillMask,
    "text-generation": TextGeneration,
}

CUSTOM = "custom"
"""The task of a model that brings its own pipeline class."""

PARAMETER_TYPES: dict[str, type] = {
    "string": str,
    "number": float,
    "integer": int,
    "boolean": bool,
    "array": list[Any],
    "object": dict[str, Any],
}
"""The type names that a custom pipeline's parameters are declared with in `models.toml`."""


def custom_parameters(declared: dict[str, str]) -> type[Parameters]:
    """The parameters of a custom pipeline, from name -> type name; all of them optional.

    Raises KeyError for a type name that is not in `PARAMETER_TYPES`.
    """
    fields = [(name, PARAMETER_TYPES[kind] | UnsetType, UNSET) for name, kind in declared.items()]
    made: Any = msgspec.defstruct("CustomParameters", fields, bases=(Parameters,), frozen=True)
    return made  # type: ignore[no-any-return]


def validate(parameters: dict[str, Any], allowed: type[Parameters]) -> dict[str, Any]:
    """The parameters as the task allows them, less those left unset.

    Raises InvalidRequest naming the offending parameter.
    """
    try:
        valid = msgspec.convert(parameters, allowed, strict=True)
    except msgspec.ValidationError as error:
        raise explained(error, allowed, "parameters") from None
    built: dict[str, Any] = msgspec.to_builtins(valid)
    return built
