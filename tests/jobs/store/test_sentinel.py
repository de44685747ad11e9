"""Sentinel: which server it leads to, and what is reported if it leads nowhere."""

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
from jobs.store.check import check
from jobs.store.connection import availability, connect
from tests import valkey
from tests.ports import free_port
from tests.waiting import until


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[valkey.Server]:
    """A server that the test may configure as it likes."""
    with valkey.running(tmp_path) as running:
        yield running


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
    gone = free_port()
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
    gone = free_port()
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
    late = free_port()
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
    monkeypatch.setitem(connection.TIMEOUTS, "socket_timeout", 3.0)
    client = connect(Settings(redis_url=own_server.url()))
    await client.ping()

    async def call() -> None:
        with pytest.raises(QueueUnavailable, match="Timeout"):
            async with availability(), asyncio.timeout(60):
                await client.ping()

    with own_server.standing_still():
        await asyncio.gather(*(call() for _ in range(3)))
    assert await client.ping()
    await client.aclose(close_connection_pool=True)
