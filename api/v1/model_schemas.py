"""What each model that is served takes, as the description tells it: an example that works, a JSON Schema."""

from typing import Any

import msgspec

from jobs.models import ModelCatalog, ModelSpec
from jobs.validation import properties

EXAMPLES: dict[str, dict[str, Any]] = {
    "text-classification": {"inputs": ["A wonderful film.", "A dull, badly acted mess."]},
    "token-classification": {
        "inputs": "Ada Lovelace lived in London.",
        "parameters": {"aggregation_strategy": "simple"},
    },
    "feature-extraction": {
        "inputs": "A wonderful film.",
        "parameters": {"pooling": "mean", "normalize": True},
    },
    "zero-shot-classification": {
        "inputs": "The match ended in a draw.",
        "parameters": {"candidate_labels": ["sport", "politics"]},
    },
    "fill-mask": {"inputs": "Paris is the [MASK] of France.", "parameters": {"top_k": 3}},
    "text-generation": {"inputs": "Once upon a time", "parameters": {"max_new_tokens": 20}},
}


def examples(catalog: ModelCatalog) -> dict[str, Any]:
    """For each model a request that it accepts, and the default one's with every field."""
    made = {name: {"value": {"model": name, **example(spec)}} for name, spec in catalog.specs.items()}
    full = {"model": catalog.default.name, **example(catalog.default), "priority": "high", "expires_in": 60}
    return made | {"urgent, and only if started within a minute": {"value": full}}


def example(spec: ModelSpec) -> dict[str, Any]:
    """A small request, cut to the model's limits."""
    if spec.input == "json":
        return {"inputs": [{"feature": 1.5} if spec.max_input_chars > 20 else 1]}
    made = EXAMPLES.get(spec.task, {"inputs": "A text."})
    texts = made["inputs"]
    if isinstance(texts, str):
        return made | {"inputs": texts[: spec.max_input_chars]}
    return made | {"inputs": [text[: spec.max_input_chars] for text in texts[: spec.max_inputs]]}


def parameters_schema(spec: ModelSpec) -> dict[str, Any]:
    """JSON Schema of the parameters that a job for this model may carry."""
    _, definitions = msgspec.json.schema_components([spec.parameter_type])
    schema: dict[str, Any] = next(iter(definitions.values()))
    return schema | {"properties": properties(spec.parameter_type)}


def accepted(spec: ModelSpec, *, default: bool) -> dict[str, Any]:
    """JSON Schema of what the model takes, beside JobRequest's own; it can tell neither depth nor bits."""
    text = {"type": "string", "maxLength": spec.max_input_chars}
    item, single = (text, text) if spec.input == "text" else ({}, {"not": {"type": "array"}})
    many = {"type": "array", "items": item, "minItems": 1, "maxItems": spec.max_inputs}
    parameters = parameters_schema(spec)
    needed = {"model": not default, "parameters": bool(parameters.get("required"))}
    return {
        "title": spec.name,
        "properties": {
            "model": {"const": spec.name},
            "inputs": {"anyOf": [single, many]},
            "parameters": parameters,
        },
        "required": [name for name, need in needed.items() if need],
    }
