"""Whatever a body has, it becomes a job or is refused, for each task and for a class of the operator."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from api.dialects.huggingface import parsing
from api.dialects.huggingface.shapes import Shape
from api.dialects.huggingface.tasks import SHAPES, shape_of
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.schema import JobRequest, NewJob, validate_request
from jobs.tasks import TASKS

SPECS = [
    *(ModelSpec(name="m", task=task, source="x") for task in TASKS),
    ModelSpec(name="m", pipeline="a:B", input="json", parameters={"generate_parameters": "object"}),
]
ODD: list[Any] = [None, True, -1, 0.5, 2**70, "", "a", [], [None], [[]], {}, {"a": None}, {"": [{}]}]


def bodies(spec: ModelSpec, shape: Shape) -> Iterator[dict[str, Any]]:
    """The task's example with one odd value, at the root or among the parameters."""
    example = dict(spec.definition.example)
    names = {
        *spec.parameter_type.__struct_fields__,
        *shape.only,
        *shape.renamed,
        *shape.moved,
        *parsing.NESTED,
    }
    for odd in ODD:
        for field in ("inputs", "parameters", "stream", "options", "other", *shape.root):
            yield {**example, field: odd}
        for name in sorted(names):
            given = example.get("parameters", {})
            yield {**example, "parameters": {**given, name: odd}}


def parsed(spec: ModelSpec, shape: Shape, body: Any) -> NewJob:
    asked = parsing.parse(msgspec.json.encode(body), shape, spec)
    return validate_request(JobRequest(asked.inputs, parameters=asked.parameters), spec)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.task)
def test_an_odd_body_is_a_job_or_refused(spec: ModelSpec) -> None:
    shape = shape_of(spec.task)
    assert parsed(spec, shape, spec.definition.example).count >= 1
    for body in bodies(spec, shape):
        with suppress(InvalidRequest):
            parsed(spec, shape, body)
    for body in ODD:
        with pytest.raises(InvalidRequest):
            parsed(spec, shape, body)


def test_a_class_of_its_own_gets_its_parameters_as_they_are() -> None:
    spec = SPECS[-1]
    body = {"inputs": {"a": 1}, "parameters": {"generate_parameters": {"b": 2}}}
    assert parsed(spec, shape_of(spec.task), body).parameters == body["parameters"]


def test_every_shape_is_of_a_task() -> None:
    assert SHAPES.keys() <= TASKS.keys()
