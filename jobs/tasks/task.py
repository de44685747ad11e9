"""Task: the definition of a task outside the engine. `jobs/tasks/__init__.py` lists all tasks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jobs.tasks.inputs import Input
from jobs.tasks.parameters import Parameters

Output = Literal["labels", "entities", "words", "texts", "vectors", "ranking", "any"]
"""How pages show an output: `api/pages/output_rows.py` and `visuals.py`. `any`: depends on its structure."""


def once(parameters: Mapping[str, Any]) -> int:
    """Returns 1: each input is run once for any parameters."""
    return 1


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task. `pipeline` computes its answers; only the engine imports it."""

    name: str
    help: str
    """The output for an input, as a sentence."""
    input: Input
    parameters: type[Parameters]
    example: Mapping[str, Any]
    """A valid request: its `inputs`, and its `parameters` if it has any."""
    output: Output
    pipeline: str
    """The engine's class, as `module:Class`."""
    aliases: tuple[str, ...] = ()
    """Other names of the task, which `models.toml` may use."""
    passes: Callable[[Mapping[str, Any]], int] = once
    """Returns how many times each input is run with the given parameters."""
