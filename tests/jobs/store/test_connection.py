"""Servers that cannot hold the queue are refused with a reason; queries to sentinels."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.asyncio import SSLConnection

from jobs.errors import ConfigurationError, QueueUnavailable
from jobs.settings import Settings
from jobs.store import connection
from jobs.store.connection import availability, check, connect
from jobs.store.store import open_store
from tests import valkey
from tests.waiting import until


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
        await check(Settings(redis_url=f"redis://127.0.0.1:{valkey.free_port()}/0"))


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


SERVICE = "queue"


@contextmanager
def watched(
    server: valkey.Server, folder: Path, *lines: str, port: int | None = None
) -> Iterator[valkey.Sentinel]:
    """A sentinel of the server."""
    folder.mkdir()
    sentinel = valkey.Sentinel(folder, server, SERVICE, *lines, port=port, quorum=1)
    sentinel.start()
    try:
        yield sentinel
    finally:
        sentinel.stop()


def address(*sentinels: int, credentials: str = "", service: str = SERVICE, query: str = "") -> Settings:
    hosts = ",".join(f"127.0.0.1:{port}" for port in sentinels)
    return Settings(redis_url=f"redis+sentinel://{credentials}{hosts}/{service}/0{query}")


async def test_sentinels_lead_to_the_primary(own_server: valkey.Server, tmp_path: Path) -> None:
    gone = valkey.free_port()
    with watched(own_server, tmp_path / "sentinel") as sentinel:
        settings = address(gone, sentinel.port)
        await check(settings)
        client: Any = connect(settings, connections=2)
        await asyncio.gather(*(client.rpush("list", i) for i in range(10)))
        server: Any = redis.Redis(port=own_server.port)
        assert server.llen("list") == 10
        assert len([one for one in server.client_list() if one["cmd"] == "rpush"]) <= 2
        await client.aclose(close_connection_pool=True)


async def test_sentinels_that_lead_nowhere_are_told(own_server: valkey.Server, tmp_path: Path) -> None:
    gone = valkey.free_port()
    with pytest.raises(
        ConfigurationError, match=rf"cannot be reached: .* 127\.0\.0\.1:{gone} does not answer"
    ):
        await check(address(gone))
    with (
        watched(own_server, tmp_path / "sentinel") as sentinel,
        pytest.raises(ConfigurationError, match=r"primary of 'other': .* does not know the service"),
    ):
        await check(address(sentinel.port, service="other"))


async def test_servers_and_sentinels_have_passwords_of_their_own(
    own_server: valkey.Server, tmp_path: Path
) -> None:
    redis.Redis(port=own_server.port).config_set("requirepass", "s/ecret")
    lines = (f"sentinel auth-pass {SERVICE} s/ecret", "requirepass hidden")
    with watched(own_server, tmp_path / "sentinel", *lines) as sentinel:
        asks = "?sentinel_password=hidden"
        await check(address(sentinel.port, credentials=":s%2Fecret@", query=asks))
        for wrong in (
            address(sentinel.port, credentials=":wrong@", query=asks),
            address(sentinel.port, credentials=":s%2Fecret@", query="?sentinel_password=wrong"),
            address(sentinel.port, credentials=":s%2Fecret@"),
        ):
            with pytest.raises(ConfigurationError, match=r"password|Authentication") as caught:
                await check(wrong)
            assert not any(word in str(caught.value) for word in ("wrong@", "=wrong", "ecret", "hidden"))


async def test_while_there_is_no_primary_the_queue_is_unavailable(
    own_server: valkey.Server, tmp_path: Path
) -> None:
    with watched(own_server, tmp_path / "sentinel") as sentinel:
        client = connect(address(sentinel.port))
        await client.ping()
        own_server.kill()

        async def noticed() -> bool:
            with pytest.raises(QueueUnavailable) as caught:
                async with availability():
                    await client.ping()
            return "reports the primary as down" in str(caught.value)

        await until(noticed)
        own_server.start()
        await client.aclose(close_connection_pool=True)


async def test_a_write_to_the_former_primary_goes_to_the_new_one(
    own_server: valkey.Server, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    with (
        valkey.running(tmp_path / "new", repl_diskless_sync_delay="0") as new,
        watched(own_server, tmp_path / "sentinel") as sentinel,
    ):
        client: Any = connect(address(sentinel.port))
        await asyncio.gather(*(client.rpush("list", i) for i in range(10)))
        admin: Any = redis.Redis(port=sentinel.port)
        admin.sentinel_remove(SERVICE)
        admin.sentinel_monitor(SERVICE, "127.0.0.1", new.port, 1)
        redis.Redis(port=own_server.port).replicaof("127.0.0.1", new.port)
        await client.rpush("list", "one more")
        assert redis.Redis(port=new.port).llen("list") == 1
        answers = await asyncio.gather(*(client.config_get("port") for _ in range(10)))
        assert {answer["port"] for answer in answers} == {str(new.port)}, "nor are the others asked any more"
        await client.aclose(close_connection_pool=True)


async def test_many_questions_at_once_forget_no_sentinel(own_server: valkey.Server, tmp_path: Path) -> None:
    late = valkey.free_port()
    with watched(own_server, tmp_path / "first") as first:
        client = connect(address(late, first.port))
        await asyncio.gather(*(client.ping() for _ in range(20)))
    await client.connection_pool.disconnect()
    with watched(own_server, tmp_path / "late", port=late):
        await asyncio.gather(*(client.ping() for _ in range(20)))
    await client.aclose(close_connection_pool=True)


async def test_the_other_scheme_speaks_tls_to_servers_and_sentinels(
    own_server: valkey.Server, tmp_path: Path
) -> None:
    with watched(own_server, tmp_path / "sentinel") as sentinel:
        plain = address(sentinel.port).redis_url
        settings = Settings(redis_url=plain.replace("redis+", "rediss+"))
        with pytest.raises(ConfigurationError, match="does not answer"):
            await check(settings)
    pool: Any = connect(settings).connection_pool
    assert isinstance(pool.make_connection(), SSLConnection)


async def test_a_server_that_hangs_costs_a_call_a_few_timeouts(
    own_server: valkey.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a call that needs a new connection, which the server accepts."""
    monkeypatch.setitem(connection.TIMEOUTS, "socket_timeout", 0.5)
    client = connect(Settings(redis_url=own_server.url()))
    await client.ping()

    async def call() -> None:
        with pytest.raises(QueueUnavailable, match="Timeout"):
            async with availability(), asyncio.timeout(20):
                await client.ping()

    with own_server.standing_still():
        await asyncio.gather(*(call() for _ in range(3)))
    assert await client.ping()
    await client.aclose(close_connection_pool=True)
