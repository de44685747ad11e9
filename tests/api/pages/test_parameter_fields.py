"""Parameter fields: each task's parameters as fields of the form at /try, and errors that name the field."""

from pathlib import Path

import pytest

from api.pages.parameter_fields import at_field, fields, parameters
from jobs import tasks
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec


def test_each_task_has_real_fields_that_give_its_parameters_back(tmp_path: Path) -> None:
    typed = {
        "p.top_k": "5",
        "p.function_to_apply": "sigmoid",
        "p.aggregation_strategy": "simple",
        "p.ignore_labels": "O\r\n MISC ",
        "p.pooling": "mean",
        "p.normalize": "true",
        "p.candidate_labels": "one, still one\ntwo",
        "p.hypothesis_template": "It is {}.",
        "p.multi_label": "false",
        "p.targets": "a\nb",
        "p.max_new_tokens": "9",
        "p.do_sample": "true",
        "p.temperature": "0.5",
        "p.top_p": "1",
        "p.repetition_penalty": "1.5",
        "p.return_full_text": "false",
        "p.return_documents": "true",
    }
    for task in tasks.TASKS.values():
        allowed = task.parameters
        spec = ModelSpec(name="m", task=task.name, source="here")
        names = {f"p.{name}" for name in allowed.__struct_fields__}
        assert {field.name for field in fields(spec, typed)} == names
        assert "json" not in {field.kind for field in fields(spec, typed)}
        given = parameters(spec, typed)
        assert {f"p.{name}" for name in given} == names
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
