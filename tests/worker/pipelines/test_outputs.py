"""Outputs as plain Python and as JSON."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from worker.pipelines.outputs import encode_output, plain


@dataclass
class Score:
    value: float


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.int64(3), 3),
        (np.bool_(False), False),
        (np.str_("a"), "a"),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (torch.ones(2, dtype=torch.bfloat16), [1.0, 1.0]),
        ({"a": [np.float32(1), {"b": (np.int8(2), None)}]}, {"a": [1.0, {"b": [2, None]}]}),
        ({np.int64(1): "a"}, {1: "a"}),
        (["a", 1, 2.0, True, None], ["a", 1, 2.0, True, None]),
    ],
)
def test_arrays_become_plain(value: Any, expected: Any) -> None:
    converted = plain(value)
    assert converted == expected
    assert type(converted) is type(expected)
    encode_output(converted)


@pytest.mark.parametrize(
    ("output", "encoded"),
    [
        ({"label": "good", "score": 0.5}, b'{"label":"good","score":0.5}'),
        ([None, "null", {"null": 1.5}], b'[null,"null",{"null":1.5}]'),
        ([[0.1] * 3] * 2, b"[[0.1,0.1,0.1],[0.1,0.1,0.1]]"),
        (2**70, b"1180591620717411303424"),
    ],
)
def test_what_json_can_say(output: Any, encoded: bytes) -> None:
    assert encode_output(output) == encoded


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_no_number_turns_into_null(number: float) -> None:
    for output in (number, [1.0, number], {"a": {"b": (None, number)}}, Score(number), {1: [number]}):
        with pytest.raises(ValueError, match="NaN or Infinity"):
            encode_output(output)


def test_what_json_cannot_say() -> None:
    for output in (object(), {"a": 1j}, "\ud800", {(1, 2): 3}):
        with pytest.raises(ValueError, match="the output is not JSON"):
            encode_output(output)
