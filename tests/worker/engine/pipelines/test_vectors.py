"""Vectors as base64 are the same numbers in float32."""

import base64

import numpy as np
import pytest
import torch

from worker.engine.pipelines.vectors import encoded


def decoded(text: str) -> list[float]:
    numbers: list[float] = np.frombuffer(base64.b64decode(text), "<f4").tolist()
    return numbers


def test_numbers_are_nested_lists() -> None:
    assert encoded(torch.tensor([[1.5, -2.0]]), "float") == [[1.5, -2.0]]
    assert encoded(torch.tensor([0.25])) == [0.25]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_base64_has_a_text_for_each_vector(dtype: torch.dtype) -> None:
    vectors = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(3)).to(dtype)
    texts = encoded(vectors, "base64")
    assert [[decoded(text) for text in row] for row in texts] == vectors.tolist()
    assert encoded(vectors[0, 0], "base64") == texts[0][0]


def test_it_is_little_endian_float32() -> None:
    assert base64.b64decode(encoded(torch.tensor([1.0, -2.0]), "base64")) == bytes.fromhex("0000803f000000c0")
