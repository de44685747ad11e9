"""What each served model accepts, for the OpenAPI description: a valid example and a JSON Schema."""

from typing import Any

import msgspec

from jobs.catalog import ModelCatalog
from jobs.models import ModelSpec
from jobs.validation import properties


def examples(catalog: ModelCatalog) -> dict[str, Any]:
    """A valid request for each model, and one with every field for the default model."""
    minimal = {name: {"value": {"model": name, **example(spec)}} for name, spec in catalog.specs.items()}
    asked = {"priority": "high", "expires_in": 60, "result_ttl": 600, "keep_inputs": True}
    full = {"model": catalog.default.name, **example(catalog.default), **asked}
    return minimal | {"high priority, must start within a minute, kept for ten minutes": {"value": full}}


def example(spec: ModelSpec) -> dict[str, Any]:
    """The model's own example, or its task's example cut to the model's limits."""
    if spec.example is not None:
        return _with_parameters(spec, spec.example)
    given, limit, cut = spec.definition.example["inputs"], spec.max_input_chars, spec.definition.input.cut
    if not isinstance(given, list):
        return _with_parameters(spec, cut(given, limit))
    return _with_parameters(spec, [cut(each, limit) for each in given[: spec.max_inputs]])


def _with_parameters(spec: ModelSpec, inputs: Any) -> dict[str, Any]:
    """A request with the task's example parameters, without those for which the model has defaults."""
    sample = spec.definition.example.get("parameters", {})
    if spec.task == "feature-extraction" and spec.revision is not None:
        sample = {}  # a model of the hub: only the worker has its files, which may define the pooling
    parameters = {name: value for name, value in sample.items() if name not in spec.shown_defaults}
    return {"inputs": inputs, "parameters": parameters} if parameters else {"inputs": inputs}


def parameters_schema(spec: ModelSpec) -> dict[str, Any]:
    """JSON Schema of the parameters of a job for this model, as far as it is known to have them."""
    _, definitions = msgspec.json.schema_components([spec.parameter_type])
    schema: dict[str, Any] = next(iter(definitions.values()))
    declared = properties(spec.parameter_type)
    for name, value in spec.shown_defaults.items():
        declared[name] = {**declared[name], "default": value}
    unusable = spec.lacking if spec.dimensions or spec.pipeline else {*spec.lacking, "dimensions"}
    for name in unusable:
        declared.pop(name, None)
    if "required" in schema:
        schema = schema | {"required": [name for name in schema["required"] if name not in spec.defaults]}
    return schema | {"properties": declared}


def request_schema(spec: ModelSpec, *, default: bool, longest_result_ttl: float) -> dict[str, Any]:
    """JSON Schema of a request to the model, beside JobRequest's. It cannot limit depth or integers."""
    item = spec.definition.input.describe(spec.limits)
    single = item or {"not": {"type": "array"}}
    many = {"type": "array", "items": item, "minItems": 1, "maxItems": spec.max_inputs}
    parameters = parameters_schema(spec)
    needed = {"model": not default, "parameters": bool(parameters.get("required"))}
    return {
        "title": spec.name,
        "properties": {
            "model": {"enum": [spec.name, *spec.aliases]} if spec.aliases else {"const": spec.name},
            "inputs": {"anyOf": [single, many]},
            "parameters": parameters,
            "result_ttl": {"maximum": longest_result_ttl},
        },
        "required": [name for name, need in needed.items() if need],
    }
