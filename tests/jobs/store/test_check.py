"""Servers that cannot hold the queue, and wrong addresses, are refused with a reason."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from jobs.errors import ConfigurationError
from jobs.settings import Settings
from jobs.store.check import check
from jobs.store.connection import connect
from jobs.store.store import open_store
from tests import valkey
from tests.ports import free_port

on_disk = pytest.mark.skipif(not valkey.knows_waitaof(), reason="this server cannot tell what is on disk")


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[valkey.Server]:
    """A server that the test may configure as it likes."""
    with valkey.running(tmp_path) as running:
        yield running


async def test_a_server_that_can_is_accepted(own_server: valkey.Server) -> None:
    await check(Settings(redis_url=own_server.url()))


async def test_the_test_script_has_a_key_of_ours(own_server: valkey.Server) -> None:
    """Some servers refuse scripts without keys."""
    server: Any = redis.Redis(port=own_server.port)
    server.config_set("slowlog-log-slower-than", 0)
    await check(Settings(redis_url=own_server.url()))
    commands = [entry["command"] for entry in server.slowlog_get(100)]
    assert [c for c in commands if c.startswith(b"EVAL ")] == [b"EVAL return 1 1 batchline:check"]
    assert len([c for c in commands if c.startswith(b"EVALSHA ") and c.endswith(b" 1 batchline:check")]) == 1


async def test_a_server_that_evicts_is_refused(own_server: valkey.Server) -> None:
    redis.Redis(port=own_server.port).config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(ConfigurationError, match="set maxmemory-policy to noeviction"):
        await check(Settings(redis_url=own_server.url()))


@pytest.mark.parametrize("password", ["", ":wrong@"])
async def test_a_missing_or_wrong_password_is_reported(own_server: valkey.Server, password: str) -> None:
    redis.Redis(port=own_server.port).config_set("requirepass", "secret")
    url = f"redis://{password}127.0.0.1:{own_server.port}/0"
    with pytest.raises(ConfigurationError, match="rejects the password") as caught:
        await check(Settings(redis_url=url))
    assert "wrong@" not in str(caught.value), "what was given is not repeated"
    await check(Settings(redis_url=f"redis://:secret@127.0.0.1:{own_server.port}/0"))


@pytest.mark.parametrize("command", ["evalsha", "eval"])
async def test_a_user_who_may_not_run_scripts_is_reported(own_server: valkey.Server, command: str) -> None:
    redis.Redis(port=own_server.port).acl_setuser("default", enabled=True, commands=[f"-{command}"])
    with pytest.raises(ConfigurationError, match=f"rejects a command: .*no permissions.*{command}"):
        await check(Settings(redis_url=own_server.url()))


def test_a_client_of_one_server_takes_no_cluster() -> None:
    with pytest.raises(ConfigurationError, match=r"not with redis\+cluster"):
        connect(Settings(redis_url="redis+cluster://127.0.0.1/"))


async def test_a_socket_in_the_file_system(tmp_path: Path) -> None:
    with valkey.running(tmp_path, unixsocket=str(tmp_path / "socket")):
        settings = Settings(redis_url=f"unix://{tmp_path / 'socket'}")
        await check(settings)
        client = connect(settings)
        assert await client.ping()
        await client.aclose(close_connection_pool=True)


async def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        await check(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0"))


async def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(ConfigurationError, match="BATCHLINE_REDIS_URL"):
        await check(Settings(redis_url="localhost:6379"))


@pytest.mark.parametrize("option", ["timeouts=1", "ssl_ca_certs=file"])
async def test_options_that_do_not_exist_are_told(option: str) -> None:
    with pytest.raises(ConfigurationError, match="BATCHLINE_REDIS_URL must have the form"):
        await check(Settings(redis_url=f"redis://127.0.0.1:6379/0?{option}"))


@pytest.mark.parametrize(
    "url",
    [
        "redis://:se/cret@127.0.0.1:6379/0",
        "redis://:12#secret@127.0.0.1:6379/0",
        "redis+sentinel://:secret@127.0.0.1:26379",
        "redis+sentinel://:secret@127.0.0.1:26379/",
        "redis+sentinel://:secret@/queue",
        "redis+sentinel://:secret@127.0.0.1:26379,/queue",
        "redis+sentinel://:secret@127.0.0.1:secret/queue",
        "redis+sentinel://:secret@127.0.0.1/queue/secret",
        "redis+sentinel://:se/cret@127.0.0.1/queue",
        "redis+sentinel://127.0.0.1/queue?password=secret",
        "redis+sentinel://127.0.0.1/queue?secret",
        "redis+sentinel://127.0.0.1/queue?ssl_ca_certs=secret",
        "rediss+sentinel://127.0.0.1/queue?ssl_cert_reqs=secret",
        "redis+cluster://",
        "redis+cluster://:secret@",
        "redis+cluster://:secret@/",
        "redis+cluster://:secret@127.0.0.1:6379,/",
        "redis+cluster://:secret@127.0.0.1:secret/",
        "redis+cluster://:secret@127.0.0.1:99999/",
        "redis+cluster://:se/cret@127.0.0.1/",
        "redis+cluster://:se#cret@127.0.0.1/",
        "redis+cluster://:secret@127.0.0.1/1",
        "redis+cluster://:secret@127.0.0.1/0/secret",
        "redis+cluster://127.0.0.1/?password=secret",
        "redis+cluster://127.0.0.1/?secret",
        "redis+cluster://127.0.0.1/?ssl_ca_certs=secret",
        "rediss+cluster://127.0.0.1/?ssl_cert_reqs=secret",
    ],
)
async def test_what_stands_in_a_wrong_address_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="BATCHLINE_REDIS_URL must have the form") as caught:
        await check(Settings(redis_url=url))
    assert "cret" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="BATCHLINE_REDIS_URL must have the form") as caught:
        open_store(Settings(redis_url=url))
    assert "cret" not in str(caught.value)


@on_disk
async def test_disk_is_refused_where_nothing_is_synced_at_once(tmp_path: Path) -> None:
    with valkey.running(tmp_path, appendfsync="always") as server:
        admin = redis.Redis(port=server.port)
        disk = Settings(redis_url=server.url(), durable_submit="disk")
        await check(disk)
        admin.config_set("appendfsync", "everysec")
        with pytest.raises(ConfigurationError, match="set appendfsync to always"):
            await check(disk)
        admin.config_set("appendonly", "no")
        with pytest.raises(ConfigurationError, match="set appendonly to yes"):
            await check(disk)
        await check(Settings(redis_url=server.url()))


@on_disk
async def test_disk_is_refused_by_a_server_that_is_too_old(tmp_path: Path) -> None:
    with valkey.running(tmp_path, appendfsync="always", rename_command="WAITAOF NEW") as old:
        with pytest.raises(ConfigurationError, match=r"Redis 7\.2 or newer"):
            await check(Settings(redis_url=old.url(), durable_submit="disk"))
        await check(Settings(redis_url=old.url()))
