"""Parameter fields: each task's parameters as fields of the form at /try, and errors that name the field."""

from typing import Any

import pytest

from api.pages.parameter_fields import at_field, fields, parameters
from api.v1.model_schemas import parameters_schema
from jobs import tasks
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec


def sample(schema: dict[str, Any]) -> str:
    """A valid value as somebody would type it."""
    match schema:
        case {"enum": [first, *_]}:
            return str(first)
        case {"type": "boolean"}:
            return "true"
        case {"type": "integer" | "number"}:
            least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
            return str(min(least, schema.get("maximum", least)))
        case {"type": "array", "items": {"type": "string"}}:
            return "a\r\n b "
        case {"type": "string"}:
            return "a {}"
        case {"anyOf": [first, *_]}:
            return sample(first)
    raise AssertionError(f"no sample of {schema}")


def test_each_task_has_real_fields_that_give_its_parameters_back() -> None:
    for task in tasks.TASKS.values():
        allowed = task.parameters
        spec = ModelSpec(name="m", task=task.name, source="here")
        declared = parameters_schema(spec)["properties"]
        typed = {f"p.{name}": sample(schema) for name, schema in declared.items()}
        assert {field.name for field in fields(spec, typed)} == typed.keys()
        mixed = {f"p.{name}" for name, schema in declared.items() if len(schema.get("anyOf", ())) > 1}
        assert {field.name for field in fields(spec, typed) if field.kind == "json"} <= mixed
        given = parameters(spec, typed)
        assert {f"p.{name}" for name in given} == typed.keys()
        assert tasks.validate(given, allowed) == given
        assert parameters(spec, {}) == {}
    classify = ModelSpec(name="m", task="text-classification", source="here")
    assert parameters(classify, {"p.top_k": "null"}) == {"top_k": None}
    with pytest.raises(InvalidRequest, match="top k: give a whole number"):
        parameters(classify, {"p.top_k": "some"})


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({}, "candidate labels: give up to 100 lines of up to 1,000 characters each"),
        (
            {"p.candidate_labels": "x" * 1_001},
            "candidate labels: give up to 100 lines of up to 1,000 characters each",
        ),
        (
            {"p.candidate_labels": "a", "p.multi_label": "maybe"},
            "multi label: choose one of true, false, not 'maybe'",
        ),
        (
            {"p.candidate_labels": "a", "p.hypothesis_template": "x" * 1_001},
            "hypothesis template: give a text of 1 to 1,000 characters",
        ),
    ],
)
def test_a_wrong_parameter_is_told_in_a_sentence_that_names_its_field(
    typed: dict[str, str], told: str
) -> None:
    spec = ModelSpec(name="m", task="zero-shot-classification", source="here")

    def checked() -> None:
        tasks.validate(parameters(spec, typed), spec.parameter_type)

    with pytest.raises(InvalidRequest) as raised:
        checked()
    assert str(at_field(spec, typed, raised.value)) == told
