"""The API's certificate: which files are refused, and what happens when they change."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from api.edge import certificate as module
from api.edge.certificate import Certificate
from jobs.errors import ConfigurationError
from jobs.settings import Settings, load_settings
from jobs.store.connection import cancel
from standalone.readiness import address
from tests import certificates
from tests.certificates import Certificates, needs_openssl
from tests.waiting import until

pytestmark = needs_openssl


@pytest.fixture
async def watched(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Certificate]:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.02)
    certificate = Certificate(*files)
    watching = asyncio.create_task(certificate.watch())
    yield certificate
    await cancel(watching)


async def test_a_broken_file_is_logged_once_and_the_old_certificate_stays(
    watched: Certificate, files: tuple[Path, Path], second: Certificates
) -> None:
    before = watched.context
    looks = 0
    stamp = watched._stamp

    def counted() -> module.Stamp:
        nonlocal looks
        looks += 1
        return stamp()

    watched._stamp = counted  # type: ignore[method-assign]
    with capture_logs() as logs:
        shutil.copy(second.certificate, files[0])  # without its key

        async def logged() -> bool:
            return bool(logs)

        await until(logged)
        since = looks

        async def looked_again() -> bool:
            return looks > since + 5

        await until(looked_again)
        assert [entry["event"] for entry in logs] == ["TLS certificate not reloaded"]
        assert "does not belong to" in logs[0]["error"]
        assert watched.context is before
        shutil.copy(second.key, files[1])

        async def reloaded() -> bool:
            return watched.context is not before

        await until(reloaded)
        assert logs[-1]["event"] == "TLS certificate reloaded"


async def test_files_that_are_being_written_are_not_read(
    watched: Certificate, second: Certificates, files: tuple[Path, Path]
) -> None:
    """A program may write the key some time after the certificate."""
    looks = 0

    def changing() -> module.Stamp:
        nonlocal looks
        looks += 1
        return ((looks, 0, 0), None)

    with capture_logs() as logs:
        watched._stamp = changing  # type: ignore[method-assign]
        shutil.copy(second.certificate, files[0])

        async def looked() -> bool:
            return looks > 10

        await until(looked)
        assert logs == []


def test_files_that_cannot_be_used_are_said_in_one_sentence(
    files: tuple[Path, Path], second: Certificates, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=r"TLS_KEY: cannot read .*missing: No such file"):
        Certificate(files[0], tmp_path / "missing")
    with pytest.raises(ConfigurationError, match=r"TLS_CERT: cannot read .*missing: No such file"):
        Certificate(tmp_path / "missing", files[1])
    with pytest.raises(ConfigurationError, match=r"TLS_KEY: the key in .* does not belong to"):
        Certificate(files[0], second.key)
    for text in ("", "nothing"):
        (tmp_path / "text").write_text(text)
        with pytest.raises(ConfigurationError, match="must be PEM files"):
            Certificate(files[0], tmp_path / "text")
        with pytest.raises(ConfigurationError, match="must be PEM files"):
            Certificate(tmp_path / "text", files[1])


def test_an_encrypted_key_is_refused_and_no_password_is_asked_for(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    encrypted = tmp_path / "encrypted.key"
    certificates.encrypt(files[1], encrypted)
    with pytest.raises(ConfigurationError, match="must not be encrypted"):
        Certificate(files[0], encrypted)


@pytest.mark.parametrize("name", ["CERT", "KEY"])
def test_one_file_without_the_other_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"BATCHLINE_TLS_{name}", "some/file")
    load_settings.cache_clear()
    with pytest.raises(ConfigurationError, match="must be set together"):
        load_settings()
    load_settings.cache_clear()


def test_addresses_are_https(with_tls: Settings) -> None:
    assert address(with_tls) == "https://127.0.0.1:8000"
