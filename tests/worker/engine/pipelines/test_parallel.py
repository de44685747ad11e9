"""Passes that run beside each other, and how rows are dealt out to them."""

import ctypes
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.pipelines.parallel import Lanes, Size, divide

PATIENCE = 30.0

WHATEVER = st.lists(st.integers(1, 300), min_size=1, max_size=60)


def never(size: Size) -> bool:
    return False


@given(WHATEVER, st.integers(1, 8))
def test_each_row_is_dealt_once_and_the_parts_are_about_alike(lengths: list[int], count: int) -> None:
    parts = divide(lengths, count, never)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    assert len(parts) <= count
    in_order = [lengths[row] for part in parts for row in part]
    assert in_order == sorted(in_order)
    assert max(sum(lengths[row] for row in part) for part in parts) <= sum(lengths) / count + max(lengths)


@given(WHATEVER, st.integers(1, 8), st.integers(1, 10))
def test_no_part_is_too_large(lengths: list[int], count: int, most: int) -> None:
    parts = divide(lengths, count, lambda size: size.rows > most)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    assert max(map(len, parts)) <= most


def test_lanes_run_beside_each_other_each_on_one_core_and_without_gradients() -> None:
    together = threading.Barrier(3)

    def compute(work: int) -> tuple[int, int, bool]:
        together.wait(PATIENCE)
        return work, torch.get_num_threads(), torch.is_inference_mode_enabled()

    assert Lanes(3).run([1, 2, 3], compute) == [(1, 1, True), (2, 1, True), (3, 1, True)]


def test_mkl_has_one_core_too() -> None:
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
    if not hasattr(library, "MKL_Get_Max_Threads"):
        pytest.skip("torch has no MKL on this processor")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert Lanes(2).run([1, 2], lambda work: library.MKL_Get_Max_Threads()) == [1, 1]
    finally:
        torch.set_num_threads(before)


def test_a_failure_is_reported_when_nothing_runs_any_more() -> None:
    failed, go_on = threading.Event(), threading.Event()
    errors: list[Exception] = []

    def compute(fails: bool) -> None:
        if fails:
            failed.set()
            raise ValueError("no")
        go_on.wait(PATIENCE)

    def run() -> None:
        try:
            Lanes(2).run([True, False], compute)
        except ValueError as error:
            errors.append(error)

    running = threading.Thread(target=run)
    running.start()
    assert failed.wait(PATIENCE)
    running.join(0.2)
    assert running.is_alive()
    go_on.set()
    running.join(PATIENCE)
    assert [str(error) for error in errors] == ["no"]


def test_lanes_that_cannot_start_raise_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(MemoryError, match="2 threads could not be started: can't start new thread"):
        Lanes(2)
