"""A job's inputs against what their model takes: their number, and each as its kind has it."""

import math
from typing import Any, Protocol

from jobs.errors import InvalidRequest
from jobs.tasks import Task


class Limits(Protocol):
    """What a model takes; a `ModelSpec`."""

    @property
    def definition(self) -> Task: ...
    @property
    def max_inputs(self) -> int: ...
    @property
    def max_input_chars(self) -> int: ...


def check_inputs(inputs: Any, spec: Limits) -> int:
    """Returns how many there are: a list is a list of inputs, anything else is one. Raises InvalidRequest."""
    many = isinstance(inputs, list)
    items = inputs if many else [inputs]
    check_count(len(items), spec)
    for index, item in enumerate(items):
        check_input(item, spec, f"/inputs/{index}" if many else "/inputs")
    return len(items)


def check_count(count: int, spec: Limits) -> None:
    """Refuses more inputs than the model takes, or none. Raises InvalidRequest."""
    if not count:
        raise InvalidRequest("inputs: give at least one input", pointer="/inputs")
    if count > spec.max_inputs:
        raise InvalidRequest(
            f"inputs: {count} inputs are more than this model's {spec.max_inputs}", pointer="/inputs"
        )


def check_input(item: Any, spec: Limits, pointer: str) -> None:
    """Refuses an input of another kind or size than the model takes. Raises InvalidRequest."""
    spec.definition.input.accept(item, spec.max_input_chars, pointer)


def check_json(value: Any, of: str) -> None:
    """Refuses what TOML can say and JSON cannot: dates, infinity, NaN. Raises InvalidRequest."""
    if isinstance(value, dict):
        for entry in value.values():
            check_json(entry, of)
    elif isinstance(value, list):
        for entry in value:
            check_json(entry, of)
    elif not isinstance(value, str | int | float):
        raise InvalidRequest(f"{of}: a {type(value).__name__} is not JSON; write it as a text")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest(f"{of}: {value} is not JSON")
