"""Answers of a model are divided into rows, moved and compared, however they are nested."""

from collections import namedtuple
from typing import Any

import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput

from worker.engine.pipelines.tensors import agree, in_memory, row_of

Pair = namedtuple("Pair", ["first", "second"])
THREE = torch.arange(6.0).reshape(3, 2)


def test_each_row_has_its_part_and_what_is_shared() -> None:
    answer = BaseModelOutput(last_hidden_state=THREE, hidden_states=(THREE, torch.ones(5)))
    row: Any = row_of(answer, 1, 3)
    assert type(row).__name__ == "BaseModelOutput"
    assert row.last_hidden_state.tolist() == [[2.0, 3.0]]
    assert [part.shape for part in row.hidden_states] == [(1, 2), (5,)]
    assert row_of(Pair(THREE, None), 2, 3).first.tolist() == [[4.0, 5.0]]


def test_answers_are_in_float32() -> None:
    moved = in_memory({"a": THREE.to(torch.bfloat16), "b": [THREE.to(torch.int16)], "c": THREE.double()})
    assert [moved["a"].dtype, moved["b"][0].dtype, moved["c"].dtype] == [
        torch.float32,
        torch.int16,
        torch.float64,
    ]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (THREE, True),
        (THREE + 1e-5, True),
        (THREE + 0.01, False),
        (THREE[:2], False),
        (THREE * float("nan"), False),
        ({"a": THREE}, True),
        ([THREE, THREE], False),
    ],
)
def test_answers_agree_within_a_tolerance(other: object, same: bool) -> None:
    assert agree(THREE, other, 1e-4) is same
    assert agree(other, other, 1e-4)
