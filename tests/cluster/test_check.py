"""The check at the start covers every primary of a cluster, and says in one sentence what is wrong."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis.crc import key_slot
from structlog.testing import capture_logs

from jobs.errors import ConfigurationError, QueueUnavailable
from jobs.settings import Settings
from jobs.store.check import check
from jobs.store.connection import availability
from jobs.store.store import open_store
from tests import valkey
from tests.cluster import nodes
from tests.ports import free_port
from tests.rights import USER, rights


@contextmanager
def configured(node: nodes.Node, cluster: nodes.Cluster, **options: str) -> Iterator[None]:
    """One node with other settings during the block."""
    admin = cluster.admin(node)
    names = {name.replace("_", "-"): value for name, value in options.items()}
    before = {name: admin.config_get(name)[name] for name in names}
    for name, value in names.items():
        admin.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            admin.config_set(name, value)


@pytest.fixture
def last(cluster: nodes.Cluster) -> nodes.Node:
    """A primary that the address does not name first."""
    return cluster.primaries()[-1]


async def warnings(settings: Settings) -> list[str]:
    """What the check logs."""
    with capture_logs() as logs:
        await check(settings)
    return [entry["event"] for entry in logs]


async def test_a_cluster_that_can_is_accepted(settings: Settings) -> None:
    assert await warnings(settings) == []


async def test_each_primary_is_checked(cluster: nodes.Cluster, settings: Settings, last: nodes.Node) -> None:
    with (
        configured(last, cluster, maxmemory_policy="allkeys-lru"),
        pytest.raises(ConfigurationError, match=f"{last.address} evicts keys.*set maxmemory-policy to noe"),
    ):
        await check(settings)


@pytest.mark.skipif(not valkey.knows_waitaof(), reason="this server cannot tell what is on disk")
async def test_disk_needs_each_primary_to_sync(cluster: nodes.Cluster, last: nodes.Node) -> None:
    settings = Settings(redis_url=cluster.url(), durable_submit="disk")
    others = [node for node in cluster.primaries() if node is not last]
    with (
        configured(others[0], cluster, appendfsync="always"),
        configured(others[1], cluster, appendfsync="always"),
    ):
        with pytest.raises(ConfigurationError, match=f"{last.address} does not sync.*appendfsync to always"):
            await check(settings)
        with configured(last, cluster, appendfsync="always"):
            await check(settings)


async def test_full_coverage_is_warned_of(
    cluster: nodes.Cluster, settings: Settings, last: nodes.Node
) -> None:
    with configured(last, cluster, cluster_require_full_coverage="yes"):
        (warning,) = await warnings(settings)
    assert "set cluster-require-full-coverage to no" in warning


async def test_a_primary_that_is_lost_does_not_stop_the_start(
    cluster: nodes.Cluster, settings: Settings, last: nodes.Node
) -> None:
    cluster.kill(last)
    (warning,) = await warnings(settings)
    assert warning.startswith(f"Redis at {last.address} cannot be reached: ")
    await asyncio.to_thread(cluster.wait_for_failover, last)


async def test_slots_without_a_primary_are_refused(tmp_path: Path) -> None:
    with nodes.running(tmp_path, primaries=3, replicas=0) as cluster:
        for node in cluster.nodes:
            cluster.admin(node).execute_command("CLUSTER", "DELSLOTS", 0)
        with pytest.raises(ConfigurationError, match="has slots without a primary"):
            await check(Settings(redis_url=cluster.url()))
        store = open_store(Settings(redis_url=cluster.url()))
        slotless = next(f"{{{i}}}" for i in range(100_000) if key_slot(f"{{{i}}}".encode()) == 0)
        with pytest.raises(QueueUnavailable, match="no primary of the cluster serves slot 0"):
            async with availability():
                await store.client(slotless).ping()
        await store.aclose()


async def test_a_cluster_that_is_down_is_refused(tmp_path: Path) -> None:
    with nodes.running(tmp_path, primaries=3, replicas=0, cluster_require_full_coverage="yes") as cluster:
        settings = Settings(redis_url=cluster.url())
        left, *lost = cluster.nodes
        for node in lost:
            cluster.kill(node)
        admin = cluster.admin(left)
        await asyncio.to_thread(
            cluster.wait, lambda: admin.execute_command("CLUSTER INFO")["cluster_state"] == "fail"
        )
        with pytest.raises(ConfigurationError, match=r"cluster_state:fail"):
            await check(settings)
        store = open_store(settings)
        tag = next(f"{{{i}}}" for i in range(1000) if cluster.owner(f"{{{i}}}") is left)
        with pytest.raises(QueueUnavailable, match="CLUSTERDOWN"):
            async with availability():
                await store.client(tag).set(f"key:{tag}", "value")
        await store.aclose()


async def test_a_plain_server_is_no_cluster(tmp_path: Path) -> None:
    with valkey.running(tmp_path) as server:
        settings = Settings(redis_url=server.url().replace("redis:", "redis+cluster:"))
        with pytest.raises(ConfigurationError, match=r"not a node of a cluster: use redis:// instead"):
            await check(settings)


async def test_a_node_of_a_cluster_is_no_plain_server(last: nodes.Node) -> None:
    with pytest.raises(ConfigurationError, match=r"node of a cluster: set .* to redis\+cluster://"):
        await check(Settings(redis_url=last.url()))


async def test_nodes_that_are_not_there() -> None:
    gone = free_port()
    with pytest.raises(ConfigurationError, match=rf"cannot be reached: .* 127\.0\.0\.1:{gone} "):
        await check(Settings(redis_url=f"redis+cluster://127.0.0.1:{gone}/"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodes.Cluster]:
    """A cluster with a password, a user with the documented rights, and one who may not ask for more."""
    user = " ".join(rights(USER, "s/ecret"))
    with nodes.running(
        tmp_path_factory.mktemp("guarded"), primaries=3, replicas=0, requirepass="hidden", user=user
    ) as cluster:
        for node in cluster.nodes:
            cluster.admin(node).execute_command("ACL", "SETUSER", "other", *rights("other", "s/ecret")[1:])
            cluster.admin(node).execute_command(
                "ACL", "SETUSER", "other", "-config", "-info", "-cluster|info"
            )
        yield cluster


async def test_a_user_with_the_documented_rights(guarded: nodes.Cluster) -> None:
    settings = Settings(redis_url=guarded.url(f"{USER}:s%2Fecret@"))
    assert await warnings(settings) == []
    store = open_store(settings)
    for number in range(5):
        client = store.client(f"{{{number}}}")
        await client.eval("return redis.call('RPUSH', KEYS[1], 1)", 1, f"batchline:list:{{{number}}}")  # type: ignore[misc]
    await asyncio.gather(*(client.info() for client in (await store.primaries()).values()))
    async with store.events.pubsub() as pubsub:
        await pubsub.subscribe("batchline:events")
        assert await pubsub.get_message(timeout=30)
    await store.aclose()


@pytest.mark.parametrize("credentials", ["", f"{USER}:wrong@", "nobody:s%2Fecret@"])
async def test_wrong_credentials_are_told(guarded: nodes.Cluster, credentials: str) -> None:
    with pytest.raises(ConfigurationError, match=r"rejects the password") as caught:
        await check(Settings(redis_url=guarded.url(credentials)))
    assert not any(word in str(caught.value) for word in ("wrong", "ecret", "hidden"))


async def test_a_password_is_asked_for_on_each_primary(guarded: nodes.Cluster) -> None:
    """ACLs are not shared between the nodes of a cluster."""
    forgotten = guarded.nodes[-1]
    rest = Settings(redis_url=f"redis+cluster://other:s%2Fecret@{guarded.nodes[0].address}/")
    await check(rest)
    guarded.admin(forgotten).execute_command("ACL", "SETUSER", "other", "off")
    try:
        with pytest.raises(ConfigurationError, match=f"Redis at {forgotten.address} rejects the password"):
            await check(rest)
    finally:
        guarded.admin(forgotten).execute_command("ACL", "SETUSER", "other", "on")


async def test_what_may_not_be_read_is_said_once(guarded: nodes.Cluster) -> None:
    settings = Settings(redis_url=guarded.url("other:s%2Fecret@"))
    (warning,) = await warnings(settings)
    assert "set maxmemory-policy to noeviction and cluster-require-full-coverage to no" in warning


async def test_a_user_who_may_not_ask_for_the_map(guarded: nodes.Cluster) -> None:
    for node in guarded.nodes:
        guarded.admin(node).execute_command("ACL", "SETUSER", "blind", *rights("blind", "x")[1:], "-cluster")
    settings = Settings(redis_url=guarded.url("blind:x@"))
    with pytest.raises(ConfigurationError, match=r"rejects a command: .*cluster\|slots"):
        await check(settings)
    store = open_store(settings)
    with pytest.raises(QueueUnavailable, match=r"cluster\|slots"):
        async with availability():
            await store.client("{1}").ping()
    await store.aclose()
