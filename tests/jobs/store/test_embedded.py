"""Other programs of the same user find the server of `batchline serve`, while it runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.settings import Settings
from jobs.store.embedded import address, with_embedded
from standalone.valkey import EmbeddedValkey


@pytest.fixture(autouse=True)
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATCHLINE_REDIS_URL", raising=False)


def test_a_running_server_is_found_by_its_folder(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    server.child()  # writes the configuration
    # a lock is of a process, so another one looks for it
    code = "from jobs.store.embedded import address; from pathlib import Path; import sys;"
    code += "print(address(Path(sys.argv[1])))"
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == server.url
    os.close(server.lock)
    assert address(tmp_path) is None, "it has ended"


def test_without_one_the_settings_stay(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "none")
    assert with_embedded(settings) is settings
    (tmp_path / "lock").touch()
    (tmp_path / "valkey.conf").write_text("bind 127.0.0.1\n")
    assert address(tmp_path) is None


def test_an_address_that_is_set_is_used(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    server.child()
    settings = Settings(redis_url="redis://example:1/0", data_dir=tmp_path)
    assert with_embedded(settings) is settings
    os.close(server.lock)
