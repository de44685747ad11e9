"""Pauses between starts, what resets the count of failures, and which errors mean that memory ran out."""

import time

import pytest

from worker.engine.shortage import is_shortage
from worker.supervisor import restarts
from worker.supervisor.restarts import RestartPolicy


def test_pauses_grow_until_the_model_is_retired() -> None:
    steps = RestartPolicy()
    seen = []
    while not steps.failed():
        seen.append(steps.pause)
    assert seen == [0.2, 0.4, 0.8, 1.6]
    assert [steps.retire() for _ in range(7)] == [10, 20, 40, 80, 160, 300, 300]
    assert steps.pause == 0.0, "a retired model that was loaded has all its tries again"


def test_an_answer_ends_a_row() -> None:
    steps = RestartPolicy()
    steps.retire()
    steps.failed()
    steps.recovered()
    assert (steps.pause, steps.retire()) == (0.0, restarts.FIRST_RETIREMENT)


@pytest.mark.parametrize(("lived", "retired"), [(1.0, True), (61.0, False)])
def test_a_minute_of_life_ends_a_row(lived: float, retired: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = RestartPolicy()
    for _ in range(restarts.MAX_FAILURES - 1):
        assert not steps.failed()
    steps.ready()
    later = time.monotonic() + lived
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert steps.failed() is retired


def raised_from(cause: Exception) -> Exception:
    error = ValueError("the input could not be run")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
            True,
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (raised_from(MemoryError()), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_shortage_is_recognised(error: Exception, expected: bool) -> None:
    assert is_shortage(error) is expected


def test_causes_that_go_in_a_circle_end() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert not is_shortage(one)
