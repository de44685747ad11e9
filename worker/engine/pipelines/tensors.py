"""Nested tensors: the inputs of a model, and what it answers. Rows are joined, divided and compared."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import torch


def joined(rows: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Returns rows of one shape as one batch."""
    return {name: torch.cat([one[name] for one in rows]) for name in rows[0]} if len(rows) > 1 else rows[0]


def row_of(answer: Any, at: int, count: int) -> Any:
    """Returns one row of a model's answer for `count` rows; what does not have so many entries is shared."""

    def row(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[at : at + 1] if tensor.ndim and tensor.shape[0] == count else tensor

    return changed(answer, row)


def in_memory(answer: Any) -> Any:
    """Returns the answer on the CPU, its floating-point numbers in float32."""

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        half = tensor.is_floating_point() and tensor.dtype.itemsize < 4
        return tensor.to("cpu", torch.float32 if half else tensor.dtype)

    return changed(answer, moved)


def changed(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Returns the value with each tensor in it changed; mappings and sequences keep their types."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return type(value)({name: changed(part, change) for name, part in value.items()})  # type: ignore[call-arg]
    if isinstance(value, tuple | list):
        parts = [changed(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def agree(one: Any, other: Any, tolerance: float) -> bool:
    """Whether all numbers agree; `tolerance` is relative to the largest of each tensor."""
    pairs = zip_longest(_tensors(one), _tensors(other))
    return all(
        left is not None and right is not None and _agree(left, right, tolerance) for left, right in pairs
    )


def _agree(one: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    if one.shape != other.shape:
        return False
    left, right = one.double(), other.double()
    difference = (left - right).abs()
    same = (left == right) | (left.isnan() & right.isnan())  # infinities too
    scale = float(left[left.isfinite()].abs().max()) if bool(left.isfinite().any()) else 0.0
    return bool((same | (difference <= tolerance * scale + 1e-6)).all())


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
