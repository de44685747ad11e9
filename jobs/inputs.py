"""Checks a job's inputs against their model's limits: their number, and each input's kind and size."""

import math
from typing import Any, Protocol

from jobs.errors import InvalidRequest
from jobs.tasks import Task
from jobs.tasks.inputs import InputLimits


class Limits(Protocol):
    """What a model accepts; implemented by `ModelSpec`."""

    @property
    def definition(self) -> Task: ...
    @property
    def max_inputs(self) -> int: ...
    @property
    def limits(self) -> InputLimits: ...


def check_inputs(inputs: Any, spec: Limits) -> int:
    """Checks all inputs and returns their number: a list holds several, anything else is one input.

    Raises InvalidRequest.
    """
    many = isinstance(inputs, list)
    items = inputs if many else [inputs]
    check_count(len(items), spec)
    if not spec.definition.input.accepts_all(items, spec.limits):
        for index, item in enumerate(items):
            check_input(item, spec, f"/inputs/{index}" if many else "/inputs")
    return len(items)


def admit_inputs(inputs: Any, spec: Limits) -> tuple[Any, int]:
    """Checks all inputs; returns them in the form in which their job carries them, and their number.

    Raises InvalidRequest.
    """
    kind = spec.definition.input
    if not kind.has_media:
        return inputs, check_inputs(inputs, spec)
    if not isinstance(inputs, list):
        return kind.admit(inputs, spec.limits, "/inputs"), 1
    check_count(len(inputs), spec)
    admitted = [kind.admit(item, spec.limits, f"/inputs/{index}") for index, item in enumerate(inputs)]
    return admitted, len(admitted)


def check_count(count: int, spec: Limits) -> None:
    """Raises InvalidRequest for no inputs, or for more than the model accepts."""
    if not count:
        raise InvalidRequest("inputs: give at least one input", pointer="/inputs")
    if count > spec.max_inputs:
        raise InvalidRequest(
            f"inputs: {count} inputs exceed this model's limit of {spec.max_inputs}"
            " (max_inputs in models.toml)",
            pointer="/inputs",
        )


def check_input(item: Any, spec: Limits, pointer: str) -> None:
    """Raises InvalidRequest for an input of the wrong kind or above the model's size limit."""
    spec.definition.input.accept(item, spec.limits, pointer)


def check_json(value: Any, of: str) -> None:
    """Raises InvalidRequest for values that TOML has and JSON does not: dates, infinity, NaN."""
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
