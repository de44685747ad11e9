"""Pauses grow with the failures in a row, and start over after a while of work."""

import time

import pytest

from jobs.process.backoff import Backoff


def test_pauses_double_up_to_a_limit() -> None:
    backoff = Backoff(0.5, 3.0)
    assert backoff.pause == 0.0, "nothing has failed"
    assert [(backoff.failed(), backoff.pause) for _ in range(5)] == [(1, 0.5), (2, 1), (3, 2), (4, 3), (5, 3)]
    backoff.recovered()
    assert (backoff.pause, backoff.failed(), backoff.pause) == (0.0, 1, 0.5)


def test_a_very_long_row_has_a_pause_too() -> None:
    backoff = Backoff(0.05, 1.0)
    for _ in range(10_000):
        backoff.failed()
    assert backoff.pause == 1.0


@pytest.mark.parametrize(("worked", "failures"), [(9.0, 2), (11.0, 1)])
def test_a_while_of_work_ends_the_row(worked: float, failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    backoff = Backoff(0.5, 3.0, steady=10.0)
    backoff.failed()
    backoff.began()
    later = time.monotonic() + worked
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert backoff.failed() == failures
