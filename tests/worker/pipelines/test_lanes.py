"""Passes that run beside each other, and how rows are dealt out to them."""

import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.pipelines.lanes import Lanes, deal

PATIENCE = 30.0

WHATEVER = st.lists(st.integers(1, 300), min_size=1, max_size=60)


def never(rows: list[int]) -> bool:
    return False


@given(WHATEVER, st.integers(1, 8))
def test_each_row_is_dealt_once_and_the_parts_are_about_alike(lengths: list[int], count: int) -> None:
    parts = deal(lengths, count, never)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    assert len(parts) <= count
    in_order = [lengths[row] for part in parts for row in part]
    assert in_order == sorted(in_order)
    assert max(sum(lengths[row] for row in part) for part in parts) <= sum(lengths) / count + max(lengths)


@given(WHATEVER, st.integers(1, 8), st.integers(1, 10))
def test_no_part_is_too_large(lengths: list[int], count: int, most: int) -> None:
    parts = deal(lengths, count, lambda rows: len(rows) > most)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    assert max(map(len, parts)) <= most


def test_lanes_run_beside_each_other_each_on_one_core_and_without_gradients() -> None:
    together = threading.Barrier(3)

    def compute(work: int) -> tuple[int, int, bool]:
        together.wait(PATIENCE)
        return work, torch.get_num_threads(), torch.is_inference_mode_enabled()

    assert Lanes(3).run([1, 2, 3], compute) == [(1, 1, True), (2, 1, True), (3, 1, True)]


def test_nothing_runs_any_more_when_one_has_failed() -> None:
    failed, ended = threading.Event(), threading.Event()

    def compute(fails: bool) -> None:
        if fails:
            failed.set()
            raise ValueError("no")
        failed.wait(PATIENCE)
        ended.set()

    with pytest.raises(ValueError, match="no"):
        Lanes(2).run([True, False], compute)
    assert ended.is_set()
