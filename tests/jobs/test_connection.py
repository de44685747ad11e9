"""What a server that cannot hold the queue is told off for, in one sentence each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobs.connection import check
from jobs.errors import ConfigurationError
from jobs.settings import Settings
from tests import valkey


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[valkey.Server]:
    """A server that the test may configure as it likes."""
    with valkey.running(tmp_path) as running:
        yield running


async def test_a_server_that_can_is_accepted(own_server: valkey.Server) -> None:
    await check(Settings(redis_url=own_server.url()))


async def test_a_server_that_evicts_is_refused(own_server: valkey.Server) -> None:
    redis.Redis(port=own_server.port).config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigurationError, match="set maxmemory-policy to noeviction"):
        await check(Settings(redis_url=own_server.url()))


@pytest.mark.parametrize("password", ["", ":wrong@"])
async def test_a_missing_or_wrong_password_is_told(own_server: valkey.Server, password: str) -> None:
    redis.Redis(port=own_server.port).config_set("requirepass", "secret")
    url = f"redis://{password}127.0.0.1:{own_server.port}/0"
    with pytest.raises(ConfigurationError, match="refuses the password") as told:
        await check(Settings(redis_url=url))
    assert "wrong@" not in str(told.value), "what was given is not repeated"
    await check(Settings(redis_url=f"redis://:secret@127.0.0.1:{own_server.port}/0"))


async def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        await check(Settings(redis_url=f"redis://127.0.0.1:{valkey.free_port()}/0"))


async def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(ConfigurationError, match="BATCHLINE_REDIS_URL"):
        await check(Settings(redis_url="localhost:6379"))
