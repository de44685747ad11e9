"""Settings that cannot work are refused, in one sentence that tells no password."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.errors import ConfigurationError
from jobs.process import watchdog
from jobs.settings import load_settings
from jobs.variables import unknown_variables, warn_of_unknown
from tests.processes import ROOT


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"LEASE": "6", "RENEW_EVERY": "3"}, "BATCHLINE_RENEW_EVERY must be at most a third"),
        ({"LEASE": "inf"}, "BATCHLINE_LEASE"),
        ({"LEASE": "0.5"}, "BATCHLINE_LEASE"),
        ({"RESULT_TTL": "inf"}, "BATCHLINE_RESULT_TTL"),
        ({"RESULT_TTL": "60", "MAX_RESULT_TTL": "59"}, "BATCHLINE_RESULT_TTL must be at most"),
        ({"MAX_RESULT_TTL": "60"}, "BATCHLINE_RESULT_TTL must be at most BATCHLINE_MAX_RESULT_TTL"),
        ({"MAX_RESULT_TTL": "2592001"}, "BATCHLINE_MAX_RESULT_TTL"),
        ({"HEAD_START": "40000"}, "BATCHLINE_HEAD_START"),
        ({"DURABLE_SUBMIT": "always"}, "BATCHLINE_DURABLE_SUBMIT"),
    ],
)
def test_what_cannot_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], message: str
) -> None:
    monkeypatch.setenv("BATCHLINE_REDIS_URL", "redis://:secret@127.0.0.1/0")
    for name, value in changed.items():
        monkeypatch.setenv(f"BATCHLINE_{name}", value)
    with pytest.raises(ConfigurationError, match=message) as refused:
        load_settings()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "longest"),
    [
        ({}, 86_400.0),
        ({"RESULT_TTL": "604800"}, 604_800.0),
        ({"RESULT_TTL": "60", "MAX_RESULT_TTL": "60"}, 60.0),
        ({"RESULT_TTL": "10000000"}, 2_592_000.0),
    ],
)
def test_a_long_default_lifetime_needs_no_second_setting(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], longest: float
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(f"BATCHLINE_{name}", value)
    assert load_settings().longest_result_ttl == longest


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("BATCHLINE_PROT", "BATCHLINE_PROT is not a setting of Batchline; did you mean BATCHLINE_PORT?"),
        ("BATCHLINE_REDIS", "did you mean BATCHLINE_REDIS_URL?"),
        ("BATCHLINE_MODEL_FILE", "did you mean BATCHLINE_MODELS_FILE?"),
        (
            "batchline_max_waits",
            "batchline_max_waits is not a setting of Batchline; did you mean BATCHLINE_MAX_WAIT?",
        ),
        (
            "BATCHLINE_COLOUR",
            "BATCHLINE_COLOUR is not a setting of Batchline; "
            "the settings are listed in docs/configuration.md",
        ),
    ],
)
def test_a_misspelt_setting_is_reported_with_a_suggestion(name: str, message: str) -> None:
    [sentence] = unknown_variables({name: "secret", "BATCHLINE_PORT": "1", "PATH": "x", "BATCHLINED": "y"})
    assert message in sentence
    assert "secret" not in sentence


def test_what_batchline_itself_sets_is_known() -> None:
    assert unknown_variables({watchdog.MARK: "1", "BATCHLINE_CRASH_AT": "", "batchline_port": "8000"}) == []


@pytest.mark.parametrize(
    "name",
    [
        "API_SERVICE_HOST",
        "API_SERVICE_PORT",
        "API_SERVICE_PORT_HTTP",
        "API_PORT",
        "API_PORT_8000_TCP",
        "API_PORT_8000_TCP_ADDR",
    ],
)
def test_what_kubernetes_adds_for_a_service_is_no_mistake(name: str) -> None:
    assert unknown_variables({f"BATCHLINE_{name}": "tcp://10.0.0.1:8000"}) == []


def test_it_is_said_once_for_a_program_and_those_that_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHLINE_PROT", "1")
    monkeypatch.setenv("BATCHLINE_SETTINGS_CHECKED", "")
    sentences: list[str] = []
    warn_of_unknown(sentences.append)
    warn_of_unknown(sentences.append)
    code = "from jobs.variables import warn_of_unknown; warn_of_unknown(print)"
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert (len(sentences), child.stdout) == (1, b"")


@pytest.mark.parametrize("module", ["api", "worker", "standalone"])
def test_each_program_says_it(tmp_path: Path, module: str) -> None:
    """Each then ends for want of a models file, or a Redis."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATCHLINE_")}
    (tmp_path / "models.toml").write_text('[models.a]\npipeline = "tests.worker.poison:Poison"\n')
    given = {
        "PROT": "1",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "DATA_DIR": str(tmp_path),
        "LOG_FORMAT": "json",
    }
    given["MODELS_FILE"] = str(tmp_path / "models.toml")
    ended = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=kept | {f"BATCHLINE_{name}": value for name, value in given.items()},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 1
    assert (ended.stdout + ended.stderr).count("did you mean BATCHLINE_PORT?") == 1
