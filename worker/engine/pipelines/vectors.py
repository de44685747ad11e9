"""Vectors in outputs: as numbers, or as base64 of float32, which is a quarter of the size and exact."""

import base64
from typing import Any

import torch


def encoded(vectors: torch.Tensor, encoding: str = "float") -> Any:
    """Returns a tensor [..., dimensions] as nested lists.

    With the encoding "base64" each vector is a string instead of its list of numbers: the base64 of its
    little-endian float32.
    """
    if encoding != "base64":
        return vectors.tolist()
    return _texts(vectors.detach().to("cpu", torch.float32).numpy().astype("<f4"))


def _texts(array: Any) -> Any:
    return base64.b64encode(array.tobytes()).decode() if array.ndim == 1 else [_texts(row) for row in array]
