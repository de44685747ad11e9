"""Task: all that is known of a task outside the engine. `jobs/tasks/__init__.py` lists them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jobs.tasks.inputs import Input
from jobs.tasks.parameters import Parameters

Output = Literal["labels", "entities", "words", "texts", "vectors", "ranking", "any"]
"""How pages show an output: `api/pages/output_rows.py` and `visuals.py`. `any`: by what it looks like."""


def once(parameters: Mapping[str, Any]) -> int:
    """An input is run once, whatever the parameters."""
    return 1


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task. Its answers are computed by `pipeline`, which only the engine imports."""

    name: str
    help: str
    """What an input is answered with, as a sentence."""
    input: Input
    parameters: type[Parameters]
    example: Mapping[str, Any]
    """A request that is accepted: its `inputs`, and its `parameters` if it has some."""
    output: Output
    pipeline: str
    """The engine's class, as `module:Class`."""
    aliases: tuple[str, ...] = ()
    """Other names of the task, which `models.toml` may use."""
    passes: Callable[[Mapping[str, Any]], int] = once
    """How many times a job's parameters have each of its inputs run."""
