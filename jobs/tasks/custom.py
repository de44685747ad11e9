"""custom: the task of a model with its own pipeline class and declared parameters."""

from typing import Any

from jobs.tasks.examples import LANDSCAPE, TONE
from jobs.tasks.inputs import Audio, Image, Input, Json, Text
from jobs.tasks.parameters import custom_parameters
from jobs.tasks.task import Task

CUSTOM = "custom"

_KINDS: dict[str, tuple[Input, Any]] = {
    "text": (Text(), "A text."),
    "json": (Json(), [{"feature": 1.5}]),
    "image": (Image(), LANDSCAPE),
    "audio": (Audio(), TONE),
}
"""Kinds of input that such a class may accept, each with an example."""


def custom_task(kind: str, declared: dict[str, str]) -> Task:
    """Returns the task of a model with its own class, as declared in `models.toml`."""
    kind_of_input, example = _KINDS[kind]
    return Task(
        name=CUSTOM,
        help="Each input gets what the class returns for it.",
        input=kind_of_input,
        parameters=custom_parameters(declared),
        example={"inputs": example},
        output="any",
        pipeline="worker.engine.pipelines.custom:CustomPipeline",
    )
