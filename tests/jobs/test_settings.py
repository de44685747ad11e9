"""Settings that cannot work are refused, in one sentence that tells no password."""

from collections.abc import Iterator

import pytest

from jobs.errors import ConfigurationError
from jobs.settings import load_settings


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"LEASE": "6", "RENEW_EVERY": "3"}, "BATCHLINE_RENEW_EVERY must be at most a third"),
        ({"LEASE": "inf"}, "BATCHLINE_LEASE"),
        ({"LEASE": "0.5"}, "BATCHLINE_LEASE"),
        ({"RESULT_TTL": "inf"}, "BATCHLINE_RESULT_TTL"),
        ({"HEAD_START": "40000"}, "BATCHLINE_HEAD_START"),
        ({"DURABLE_SUBMIT": "always"}, "BATCHLINE_DURABLE_SUBMIT"),
    ],
)
def test_what_cannot_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], told: str
) -> None:
    monkeypatch.setenv("BATCHLINE_REDIS_URL", "redis://:secret@127.0.0.1/0")
    for name, value in changed.items():
        monkeypatch.setenv(f"BATCHLINE_{name}", value)
    with pytest.raises(ConfigurationError, match=told) as refused:
        load_settings()
    assert "secret" not in str(refused.value)
