"""Tasks: their definitions and their registry. `docs/adding-a-task.md` shows how to add one.

task        Task: the definition of a task outside the engine
inputs      kinds of inputs: check, measure, describe, show
parameters  the base of every task's parameters, and their validation
custom      the task of a model with its own pipeline class
text, vision, audio, multimodal: the tasks, by what their models read
"""

from jobs.tasks import audio, multimodal, text, vision
from jobs.tasks.custom import CUSTOM, custom_task
from jobs.tasks.inputs import Input
from jobs.tasks.parameters import (
    PARAMETER_TYPES,
    Parameters,
    custom_parameters,
    validate,
    without_required,
)
from jobs.tasks.task import Output, Task

__all__ = [
    "CUSTOM",
    "PARAMETER_TYPES",
    "SUGGESTIONS",
    "TASKS",
    "Input",
    "Output",
    "Parameters",
    "Task",
    "custom_parameters",
    "custom_task",
    "find",
    "of_model",
    "validate",
    "without_required",
]

TASKS: dict[str, Task] = {
    task.name: task for task in (*text.TASKS, *vision.TASKS, *audio.TASKS, *multimodal.TASKS)
}
"""Name -> task."""

SUGGESTIONS = {
    "embedding": "feature-extraction",
    "embeddings": "feature-extraction",
    "text-embedding": "feature-extraction",
    "masked-lm": "fill-mask",
    "causal-lm": "text-generation",
}
"""Names that are not tasks -> the task to suggest in the error message."""

_names = TASKS | {alias: task for task in TASKS.values() for alias in task.aliases}


_OTHER = custom_task("json", {})


def of_model(name: str) -> Task:
    """Returns the task of that name, or one that describes any model with a class of its own."""
    return TASKS.get(name, _OTHER)


def find(name: str) -> Task | None:
    """Returns the task with that name or alias."""
    return _names.get(name)
