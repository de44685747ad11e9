"""When a try follows, what a receiver may ask for, and hosts that are left alone."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from hooks import breakers, retries
from hooks.breakers import Breakers
from jobs.errors import ConfigurationError
from jobs.settings import Settings, load_settings

DAY = 86_400


def test_seven_tries_take_about_a_day() -> None:
    delays = Settings().retry_delays
    assert len(delays) == 6
    assert 0.9 * DAY < sum(delays) < 1.1 * DAY
    for failed, delay in enumerate(delays, 1):
        waits = [retries.wait(delays, failed, None) for _ in range(50)]
        assert all(wait is not None and 0.8 * delay <= wait <= 1.2 * delay for wait in waits)
        assert len(set(waits)) > 40, "not all at the same time"
    assert retries.wait(delays, 7, None) is None
    assert retries.wait(delays, 7, 60.0) is None


def test_a_receiver_may_ask_for_a_longer_wait_but_not_for_any() -> None:
    assert retries.wait((5.0,), 1, 100.0) == 100.0
    assert (retries.wait((5.0,), 1, 1.0) or 0) > 3.9
    assert retries.wait((5.0,), 1, 1e9) == retries.MAX_RETRY_AFTER


@pytest.mark.parametrize("text", [None, "", "soon", "-5", "1.5", "٣", "9" * 20, "Mon, 99 Nov 2026", "\x00"])
def test_what_is_no_time_is_ignored(text: str | None) -> None:
    assert retries.seconds_of(text) is None


def test_times_are_seconds_or_dates() -> None:
    assert retries.seconds_of(" 120 ") == 120.0
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < (retries.seconds_of(later) or 0) <= 90
    assert retries.seconds_of("Sun, 06 Nov 1994 08:49:37 GMT") == 0.0


def test_a_host_that_fails_five_times_in_a_row_is_left_alone_for_growing_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(breakers, "FIRST_PAUSE", 5.0)
    hosts = Breakers()
    for _ in range(4):
        hosts.failed("a")
    hosts.succeeded("a")
    for _ in range(4):
        hosts.failed("a")
    assert hosts.tripped() == {}
    hosts.failed("a")
    hosts.failed("a")  # was in flight when the pause began
    assert hosts.tripped() == {"a": 5.0}
    now += 5
    assert hosts.tripped() == {"a": 0.0}, "one is sent now"
    hosts.failed("a")
    assert hosts.tripped() == {"a": 10.0}
    for _ in range(20):
        now += 1_000
        hosts.failed("a")
    assert hosts.tripped() == {"a": breakers.LONGEST_PAUSE}
    hosts.succeeded("a")
    assert hosts.tripped() == {}
    for _ in range(5):
        hosts.failed("b")
    now += 4_000
    assert hosts.tripped() == {}, "nothing is known of a host for ever"


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("RETRIES", ""),
        ("RETRIES", "5,,6"),
        ("RETRIES", "soon"),
        ("RETRIES", "-1"),
        ("RETRIES", ",".join(["1"] * 21)),
        ("RETRIES", "9999999"),
        ("HOSTS", "http://example.org"),
        ("HOSTS", "on"),
        ("TIMEOUT", "0"),
        ("KEEP", "1"),
    ],
)
def test_settings_that_cannot_be_are_named(monkeypatch: pytest.MonkeyPatch, name: str, given: str) -> None:
    monkeypatch.setenv(f"BATCHLINE_WEBHOOK_{name}", given)
    load_settings.cache_clear()
    with pytest.raises(ConfigurationError, match=f"BATCHLINE_WEBHOOK_{name}: "):
        load_settings()
    load_settings.cache_clear()
