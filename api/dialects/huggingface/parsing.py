"""A body becomes the inputs and parameters of a job, as its task's shape says. No HTTP here."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from api.dialects import json_bodies
from api.dialects.huggingface.shapes import Shape
from api.edge.json_shape import check_shape
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.validation import MAX_QUOTED

NESTED = ("generate_parameters", "generate_kwargs", "generation_parameters")
"""Parameters of clients that are objects with parameters of the generation."""


class Options(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Options of Hugging Face's own service. A request always waits, and no answer is cached."""

    use_cache: bool | UnsetType = UNSET
    wait_for_model: bool | UnsetType = UNSET


class Body(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a body of any task may have."""

    inputs: Any = UNSET
    parameters: dict[str, Any] | None = None
    stream: bool | None = None
    options: Options | None = None


class Asked(msgspec.Struct, frozen=True):
    """A parsed body: inputs and parameters as in a request to `/v1/jobs`."""

    inputs: Any
    parameters: dict[str, Any]
    stream: bool = False


def parse(body: bytes | bytearray, shape: Shape, spec: ModelSpec) -> Asked:
    """Parses a JSON body. Raises InvalidRequest."""
    found = json_bodies.decoded(body, _body_of(shape.root))
    inputs = found.inputs
    root = {name: value for name in shape.root if (value := getattr(found, name)) is not UNSET}
    parameters = found.parameters or {}
    check_shape([inputs, parameters, root], "")
    if found.stream and not shape.streams:
        raise InvalidRequest(f"stream: {spec.task} has no partial answers; leave it out", pointer="/stream")
    inputs = _inputs(shape, inputs, {name: root[name] for name in shape.parts if name in root})
    if inputs is UNSET:
        raise InvalidRequest("inputs is missing", pointer="/inputs")
    known = spec.parameter_type.__struct_fields__
    given = _merged(parameters, {name: root[name] for name in shape.beside if name in root}, "the root")
    for name in NESTED:
        if name in given and name not in known:
            given = _flattened(given, name)
    inputs, given = _moved(shape, inputs, given)
    return Asked(inputs, _translated(shape, spec, given), bool(found.stream))


def alone(shape: Shape, spec: ModelSpec, medium: bytes) -> Asked:
    """The request that is a medium without anything else."""
    return Asked(_sent_alone(shape, medium), _translated(shape, spec, {}))


@cache
def _body_of(root: tuple[str, ...]) -> type[Body]:
    """The type of a body with more fields at its root."""
    fields = [(name, Any, UNSET) for name in root]
    built: Any = msgspec.defstruct("Body", fields, bases=(Body,), frozen=True)
    return built  # type: ignore[no-any-return]


def _sent_alone(shape: Shape, medium: Any) -> Any:
    return medium if shape.medium is None else {shape.medium: medium}


def _inputs(shape: Shape, inputs: Any, parts: dict[str, Any]) -> Any:
    """The inputs with the parts of the root in them."""
    if isinstance(inputs, str) and shape.medium is not None:
        return {**_sent_alone(shape, inputs), **parts}
    if not parts:
        return inputs
    if inputs is not UNSET:
        name = next(iter(parts))
        raise InvalidRequest(
            f"{name}: give it in `inputs`, or beside a medium as `inputs`", pointer=f"/{name}"
        )
    return parts


def _moved(shape: Shape, inputs: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Moves the parameters into the input that are values of it."""
    moved = {name: given[name] for name in shape.moved if name in given}
    if not moved:
        return inputs, given
    name = next(iter(moved))
    if not isinstance(inputs, dict) or name in inputs:
        raise InvalidRequest(
            f"parameters/{name}: give it in each of the inputs", pointer=f"/parameters/{name}"
        )
    return {**inputs, **moved}, {name: value for name, value in given.items() if name not in moved}


def _flattened(given: dict[str, Any], name: str) -> dict[str, Any]:
    nested = given[name]
    if not isinstance(nested, dict | None):
        raise InvalidRequest(f"parameters/{name}: give an object", pointer=f"/parameters/{name}")
    rest = {other: value for other, value in given.items() if other != name}
    return _merged(rest, nested or {}, f"parameters/{name}")


def _merged(given: Mapping[str, Any], more: Mapping[str, Any], place: str) -> dict[str, Any]:
    twice = next((name for name in more if name in given), None)
    if twice is not None:
        raise InvalidRequest(
            f"parameters/{twice[:MAX_QUOTED]}: it is also given in {place}; give it once",
            pointer="/parameters",
        )
    return {**given, **more}


def _translated(shape: Shape, spec: ModelSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters under our names, with the defaults here. Null is unset, as in the client."""
    found = {
        shape.renamed.get(name, name): value
        for name, value in given.items()
        if value is not None and name not in shape.ignored
    }
    for name, allowed in shape.only.items():
        if name in found and found.pop(name) not in allowed:
            known = f"only {' or '.join(map(_shown, allowed))} is supported; " if allowed else ""
            raise InvalidRequest(
                f"parameters/{name}: {known}leave it out" if known else f"parameters/{name}: not supported",
                pointer=f"/parameters/{name}",
            )
    defaults = {name: value for name, value in shape.defaults.items() if name not in spec.defaults}
    return shape.adjusted({**defaults, **found})


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()
