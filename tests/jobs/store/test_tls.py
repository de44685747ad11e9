"""TLS to a plain server, through Sentinel and to a cluster: with a named authority, refused without it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import SSLConnection
from redis.asyncio.connection import RedisSSLContext

from jobs.errors import ConfigurationError
from jobs.settings import Settings
from jobs.store import address, tls
from jobs.store.check import check
from jobs.store.cluster import address as cluster_address
from jobs.store.store import open_store
from tests import certificates, valkey
from tests.certificates import Certificates, needs_tls
from tests.cluster import nodes
from tests.ports import free_port
from tests.waiting import until

SERVICE = "queue"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls_server(
    made: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[valkey.Server]:
    """A server with a plain port and a TLS port."""
    monkeypatch.setattr(valkey, "BINARY", certificates.tls_server())
    (tmp_path / "server").mkdir()
    with valkey.running(tmp_path / "server", **made.options(free_port())) as server:
        yield server


async def works(url: str) -> None:
    """The check passes, and commands, pipelines and subscriptions run."""
    settings = Settings(redis_url=url)
    await check(settings)
    store = open_store(settings)
    for tag in ("{1}", "{2}", "{3}"):
        client = store.client(tag)
        assert issubclass(client.connection_pool.connection_class, SSLConnection)
        await client.set(f"key:{tag}", "value")
        assert await client.get(f"key:{tag}") == b"value"
    async with store.events.pubsub() as pubsub:
        await pubsub.subscribe("channel")
        assert await pubsub.get_message(timeout=5)
    for primary in (await store.primaries()).values():
        assert await primary.ping()
    await store.aclose()


@needs_tls
async def test_a_plain_server(tls_server: valkey.Server, made: Certificates) -> None:
    url = f"rediss://127.0.0.1:{tls_server.options['tls-port']}/0"
    await works(f"{url}?ssl_ca_certs={made.authority}")
    await works(f"{url}?ssl_ca_certs={made.authority}&ssl_check_hostname=true")
    with pytest.raises(ConfigurationError, match="certificate verify failed"):
        await check(Settings(redis_url=url))


@needs_tls
async def test_through_sentinel(tls_server: valkey.Server, made: Certificates, tmp_path: Path) -> None:
    port, sentinel_port = tls_server.options["tls-port"], free_port()
    lines = [f"{name.replace('_', '-')} {value}" for name, value in made.options(sentinel_port).items()]
    (tmp_path / "sentinel").mkdir()
    sentinel = valkey.Sentinel(
        tmp_path / "sentinel", tls_server, SERVICE, *lines, "tls-replication yes", quorum=1
    )
    sentinel.watched = f"{SERVICE} 127.0.0.1 {port} 1"
    sentinel.start()
    try:
        url = f"rediss+sentinel://127.0.0.1:{sentinel_port}/{SERVICE}/0"
        await works(f"{url}?ssl_ca_certs={made.authority}")
        with pytest.raises(ConfigurationError, match="certificate verify failed"):
            await check(Settings(redis_url=url))
    finally:
        sentinel.stop()


@needs_tls
async def test_a_cluster(made: Certificates, tmp_path: Path) -> None:
    binary = certificates.tls_server()
    assert binary
    with nodes.running(
        tmp_path, replicas=0, binary=binary, certificates=made, requirepass="hidden"
    ) as cluster:
        await works(cluster.url(":hidden@"))
        await works(f"{cluster.url(':hidden@')}&ssl_check_hostname=true")
        with pytest.raises(ConfigurationError, match="certificate verify failed"):
            await check(Settings(redis_url=cluster.url(":hidden@").partition("?")[0]))
        with pytest.raises(ConfigurationError, match="cannot be reached"):
            await check(
                Settings(redis_url=cluster.url(":hidden@").partition("?")[0].replace("rediss", "redis"))
            )


@needs_tls
async def test_a_primary_that_changes_places_is_followed(made: Certificates, tmp_path: Path) -> None:
    """`CLUSTER FAILOVER`: the former primary answers MOVED, with the TLS port of the new one."""
    binary = certificates.tls_server()
    assert binary
    with nodes.running(tmp_path, binary=binary, certificates=made) as cluster:
        store = open_store(Settings(redis_url=cluster.url()))
        tag = "{1}"
        client: Any = store.client(tag)
        former = cluster.owner(tag)
        written = 0

        async def appended() -> bool:
            nonlocal written
            written += 1
            assert await client.rpush(f"list:{tag}", written) == written
            return cluster.owner(tag) is not former

        await appended()
        await asyncio.to_thread(cluster.wait, lambda: cluster.replicas(former))  # it may not know of it yet
        [replica] = cluster.replicas(former)
        cluster.admin(replica).execute_command("CLUSTER", "FAILOVER")
        await until(appended)
        await appended()
        assert (await client.config_get("port"))["port"] == str(replica.port)
        await store.aclose()


@pytest.mark.parametrize(
    "address", ["rediss://one/0", "rediss+sentinel://one/queue", "rediss+cluster://one/"]
)
async def test_a_file_that_is_not_there_is_told(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"TLS option in BATCHLINE_REDIS_URL .* No such file"):
        await check(Settings(redis_url=f"{address}?ssl_ca_certs={tmp_path / 'missing'}"))


@pytest.mark.parametrize(
    "address", ["rediss://one/0", "rediss+sentinel://one/queue", "rediss+cluster://one/"]
)
def test_connections_share_a_context_for_a_minute(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(tls, "_contexts", {})

    def context(query: str) -> RedisSSLContext:
        pool = open_store(Settings(redis_url=f"{address}?{query}")).client("{1}").connection_pool
        made = pool.make_connection()  # type: ignore[no-untyped-call]
        assert isinstance(made, SSLConnection)
        return made.ssl_context

    first = context("ssl_check_hostname=true")
    assert context("ssl_check_hostname=true") is first
    assert context("ssl_check_hostname=false") is not first
    monkeypatch.setattr(tls, "LIFETIME", 0)
    monkeypatch.setattr(tls, "_contexts", {})
    assert context("ssl_check_hostname=true") is not context("ssl_check_hostname=true")


def test_the_options_of_an_address() -> None:
    options = "ssl_ca_certs=%2Fetc%2Fca%20of%20ours.pem&ssl_check_hostname=yes&ssl_cert_reqs=required"
    parsed = cluster_address(f"rediss+cluster://user:p%40ss@one:1,[::1]:2,three/?{options}")
    assert parsed.hosts == (("one", 1), ("::1", 2), ("three", 6379))
    assert parsed.server == {
        "username": "user",
        "password": "p@ss",
        "connection_class": tls.TLSConnection,
        "ssl_ca_certs": "/etc/ca of ours.pem",
        "ssl_check_hostname": True,
        "ssl_cert_reqs": "required",
    }
    for name in address.TLS_OPTIONS:
        with pytest.raises(ValueError, match="without TLS"):
            cluster_address(f"redis+cluster://one/?{name}=none")
