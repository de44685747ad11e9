"""Parameter fields: each task's parameters as fields of the form at /try, and errors that name the field."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.pages.parameter_fields import at_field, fields, parameters
from api.v1.model_schemas import parameters_schema
from jobs import tasks
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.markup import parsed


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


SPEECH = ("language", "task", "return_language", "num_beams", "max_new_tokens")
TIMES = ("return_timestamps", "chunk_length_s", "stride_length_s")


@pytest.mark.parametrize(
    ("architecture", "lacks"),
    [
        ("Wav2Vec2ForCTC", SPEECH),
        ("MoonshineForConditionalGeneration", SPEECH[:3]),
        ("WhisperForConditionalGeneration", ()),
        (None, ()),
    ],
)
async def test_only_parameters_that_the_model_has_are_offered(
    settings: Settings, tmp_path: Path, architecture: str | None, lacks: tuple[str, ...]
) -> None:
    """As far as the model's files are on this machine and say so."""
    (tmp_path / "speech").mkdir()
    if architecture:
        (tmp_path / "speech" / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    settings.models_file.write_text(
        '[models.speech]\ntask = "automatic-speech-recognition"\nsource = "speech"\n'
        "defaults = { num_beams = 1 }"
    )
    async with mounted(settings) as (client, _):
        page = parsed((await client.get("/try")).text)
        fields = {str(each["name"]) for each in page.all() if "name" in each.attributes}
        [model] = (await client.get("/v1/models")).json()["models"]
    has = {name for name in (*SPEECH, *TIMES) if name not in lacks}
    assert {name.removeprefix("p.") for name in fields if name.startswith("p.")} == has
    assert set(model["parameters"]["properties"]) == has
