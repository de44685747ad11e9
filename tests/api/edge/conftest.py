"""Certificates for the API."""

from pathlib import Path

import pytest

from jobs.settings import Settings
from tests import certificates
from tests.certificates import Certificates


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("second"))


@pytest.fixture
def files(tmp_path: Path, first: Certificates) -> tuple[Path, Path]:
    """The files that the API reads: a certificate and its key, which a test may replace."""
    served = tmp_path / "tls.crt", tmp_path / "tls.key"
    first.install(served)
    return served


@pytest.fixture
def with_tls(settings: Settings, files: tuple[Path, Path]) -> Settings:
    return settings.model_copy(update={"tls_cert": files[0], "tls_key": files[1]})
