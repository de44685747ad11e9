"""Outputs become an answer, as their task's shape says."""

from typing import Any

import msgspec

from api.dialects.huggingface.shapes import Shape

_decode = msgspec.json.Decoder().decode


def answer(shape: Shape, outputs: list[msgspec.Raw], *, many: bool) -> Any:
    """The answer for the output of one input, or for those of a list of inputs. May contain msgspec.Raw."""
    values: list[Any] = outputs
    if shape.output is not None:
        values = [shape.output(_decode(output)) for output in outputs]
    return values if many or shape.listed else values[0]
