"""A port that was given is not given again, also before a server listens there."""

import random

import pytest

from tests.ports import free_port


def test_a_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim is the system's, so that it also holds against another test process."""
    given = free_port()
    drawn = iter([given, *range(given + 1, 20_000)])
    monkeypatch.setattr(random, "choice", lambda _: next(drawn))
    assert free_port() != given
