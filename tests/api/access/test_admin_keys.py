"""Admin keys of the environment, and of a file that is read again when it changes."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from api.access.access import is_open
from api.access.admin_keys import AdminKeys
from jobs.access.api_key import digest
from jobs.errors import ConfigurationError
from jobs.settings import Settings, load_settings

ONE, OTHER = "bl_" + "One-1_" * 7 + "1", "bl_" + "other2" * 7 + "2"


def digests(keys: AdminKeys) -> list[str]:
    return [key.digest for key in keys()]


def replace(file: Path, text: str) -> None:
    """As a mounted secret changes: a new file takes the place of the old one."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def test_the_keys_of_both_settings_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{OTHER}\n")
    keys = AdminKeys(Settings(admin_key=SecretStr(ONE), admin_key_file=file))
    assert digests(keys) == [digest(ONE), digest(OTHER)]
    assert {key.scopes for key in keys()} == {frozenset({"admin"})}
    assert len({key.id for key in keys()}) == 2
    assert digests(AdminKeys(Settings())) == []


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(ONE)
    keys = AdminKeys(Settings(admin_key_file=file))
    before = keys()
    replace(file, OTHER)
    assert digests(keys) == [digest(OTHER)]
    assert keys()[0].id != before[0].id


@pytest.mark.parametrize("text", [None, "", "bl_short", ONE + "x", f"{ONE}\n{OTHER}"])
def test_the_key_of_a_file_that_is_gone_or_malformed_is_no_longer_accepted(
    tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "key"
    file.write_text(ONE)
    keys = AdminKeys(Settings(admin_key_file=file))
    if text is None:
        file.unlink()
    else:
        replace(file, text)
    with capture_logs() as logs:
        assert [digests(keys), digests(keys)] == [[], []]
    assert [line["event"] for line in logs] == ["admin key removed"], "logged once"
    assert ONE not in str(logs)
    replace(file, OTHER)
    assert digests(keys) == [digest(OTHER)]


def test_the_key_of_a_file_that_may_no_longer_be_read_is_not_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its contents and its time stay the same."""
    file = tmp_path / "key"
    file.write_text(ONE)
    keys = AdminKeys(Settings(admin_key_file=file))

    def refused(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refused)  # root may read every file
    assert digests(keys) == [digest(ONE)]
    file.chmod(0o000)
    assert digests(keys) == []


def test_a_file_that_cannot_be_used_at_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"BATCHLINE_ADMIN_KEY_FILE: cannot read .*: No such file"):
        AdminKeys(Settings(admin_key_file=tmp_path / "none"))
    (tmp_path / "key").write_text("hunter2")
    with pytest.raises(ConfigurationError, match="the secret must be bl_ and 43") as refused:
        AdminKeys(Settings(admin_key_file=tmp_path / "key"))
    assert "hunter2" not in str(refused.value)
    (tmp_path / "key").write_bytes(os.urandom(8) + b"\xff")
    with pytest.raises(ConfigurationError, match="it is not text"):
        AdminKeys(Settings(admin_key_file=tmp_path / "key"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ADMIN_KEY", "hunter2", "BATCHLINE_ADMIN_KEY: the secret must be bl_ and 43"),
        ("ADMIN_KEY", ONE + "hunter2", "BATCHLINE_ADMIN_KEY: the secret must be bl_ and 43"),
        ("AUTH", "hunter2", "BATCHLINE_AUTH"),
        ("TRUSTED_PROXIES", "10.0.0.1/8/9", "BATCHLINE_TRUSTED_PROXIES: give addresses and networks"),
        ("TRUSTED_PROXIES", "proxy.example", "BATCHLINE_TRUSTED_PROXIES: give addresses and networks"),
        ("OWNER_HEADER", "x y", "BATCHLINE_OWNER_HEADER: give the name of a header"),
        ("OWNER_HEADER", "x-user", "BATCHLINE_OWNER_HEADER needs BATCHLINE_TRUSTED_PROXIES"),
    ],
)
def test_settings_that_cannot_work(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    load_settings.cache_clear()
    monkeypatch.setenv(f"BATCHLINE_{name}", value)
    with pytest.raises(ConfigurationError, match=message) as refused:
        load_settings()
    if name == "ADMIN_KEY":
        assert "hunter2" not in str(refused.value)


def test_keys_and_an_owner_header_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    load_settings.cache_clear()
    for name, value in {"AUTH": "keys", "OWNER_HEADER": "x-user", "TRUSTED_PROXIES": "::1"}.items():
        monkeypatch.setenv(f"BATCHLINE_{name}", value)
    with pytest.raises(ConfigurationError, match="cannot be used with BATCHLINE_AUTH=keys"):
        load_settings()


def test_empty_settings_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a compose file passes them on."""
    load_settings.cache_clear()
    for name in ("ADMIN_KEY", "ADMIN_KEY_FILE", "TRUSTED_PROXIES", "OWNER_HEADER"):
        monkeypatch.setenv(f"BATCHLINE_{name}", "")
    settings = load_settings()
    load_settings.cache_clear()
    assert (settings.admin_key, settings.admin_key_file) == (None, None)
    assert (settings.trusted_proxies, settings.owner_header) == (None, None)


def test_the_secret_is_not_in_the_settings_text() -> None:
    assert ONE not in repr(Settings(admin_key=SecretStr(ONE)))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"host": "127.0.0.1"}, False),
        ({"host": "localhost"}, False),
        ({"host": "::1"}, False),
        ({"host": "0.0.0.0"}, True),
        ({"host": "batchline.example.org"}, True),
        ({"host": "0.0.0.0", "published_host": "127.0.0.1"}, False),
        ({"host": "0.0.0.0", "published_host": "0.0.0.0"}, True),
        ({"host": "0.0.0.0", "auth": "keys"}, False),
        ({"host": "0.0.0.0", "owner_header": "x-user", "trusted_proxies": "::1"}, False),
    ],
)
def test_a_server_is_open_if_others_reach_it_without_keys(changed: dict[str, Any], expected: bool) -> None:
    assert is_open(Settings(**changed)) is expected
