"""Outputs as plain Python and as JSON."""

import math
from collections import namedtuple
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from worker.engine.pipelines.encoding import NotJson, encode_output, plain


@dataclass
class Score:
    value: Any


class Record(msgspec.Struct):
    value: Any


Pair = namedtuple("Pair", "one other")


class Level(Enum):
    LOW = 1


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


TWICE = {1: "a", "1": "b"}


@pytest.mark.parametrize(
    "output",
    [
        TWICE,
        {1.5: "a", "1.5": "b"},
        {Level.LOW: "a", 1: "b"},
        {b"a": "a", "YQ==": "b"},
        {np.int64(1): "a", np.str_("1"): "b"},
        {"a": [{"b": (1, TWICE)}]},
        Score(TWICE),
        Record([TWICE]),
        Pair(1, TWICE),
        np.array([1, TWICE], dtype=object),
        {math.nan: "a"},
        {Decimal("Infinity"): "a"},
        Decimal("NaN"),
        [Decimal("1"), Decimal("-Infinity")],
        Score({"a": Decimal("sNaN")}),
        {Decimal("NaN")},
    ],
    ids=str,
)
def test_what_json_would_lose_is_refused(output: Any) -> None:
    with pytest.raises(NotJson):
        encode_output(plain(output))


@pytest.mark.parametrize(
    ("output", "encoded"),
    [
        ({1: "a", "2": "b"}, b'{"1":"a","2":"b"}'),
        ({np.int64(1): np.float64(0.5)}, b'{"1":0.5}'),
        (Decimal("0.10"), b'"0.10"'),
        ({3}, b"[3]"),
        (frozenset({np.int8(3)}), b"[3]"),
        (Pair(1, np.float64(0.5)), b"[1,0.5]"),
        (Score({"a": [None]}), b'{"value":{"a":[null]}}'),
        (b"ab", b'"YWI="'),
        (np.array([b"ab"]), b'["YWI="]'),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), b'["2020-01-01"]'),
        (2**64, b"18446744073709551616"),
    ],
    ids=str,
)
def test_what_json_can_say_of_other_types(output: Any, encoded: bytes) -> None:
    assert encode_output(plain(output)) == encoded


@pytest.mark.parametrize("output", [{math.nan}, Pair(1, math.inf), {"a": frozenset({math.nan})}], ids=str)
def test_no_number_in_a_set_turns_into_null(output: Any) -> None:
    for given in (output, plain(output)):
        with pytest.raises(ValueError, match="NaN or Infinity"):
            encode_output(given)


@pytest.mark.parametrize("raw", [b"garbage", b'1},{"output":2', b'"\xff"', b"", b"NaN", b"[" * 5_000])
def test_what_is_encoded_already_must_be_json(raw: bytes) -> None:
    for output in (msgspec.Raw(raw), {"a": [msgspec.Raw(raw)]}):
        with pytest.raises(NotJson, match="not JSON"):
            plain(output)


def test_json_that_is_already_encoded_is_unchanged() -> None:
    assert encode_output(plain({"a": msgspec.Raw(b'{"b":[1]}')})) == b'{"a":{"b":[1]}}'
