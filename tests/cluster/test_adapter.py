"""The store of a cluster: where commands go, and what callers see of nodes that move slots, hang or die."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.errors import QueueUnavailable
from jobs.settings import Settings
from jobs.store import connection
from jobs.store.connection import availability
from jobs.store.store import Store, open_store
from tests.cluster import nodes
from tests.ports import free_port
from tests.waiting import until

APPEND = "redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LLEN', KEYS[1])"
"""A script that a list shows each run of."""

moves_slots = pytest.mark.skipif(not nodes.moves_slots(), reason="this server cannot move slots atomically")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test's own clients wait for an answer however long it takes. To be named before `store`."""
    monkeypatch.setitem(connection.TIMEOUTS, "socket_timeout", 600.0)


async def port_of(client: ArqRedis) -> int:
    """The port of the server that the client's next connection goes to."""
    return int((await client.config_get("port"))["port"])


class Load:
    """Writers that append numbers to a list without a pause, and what they saw."""

    def __init__(self, client: ArqRedis, key: str) -> None:
        self._client, self._key = client, key
        self.written: list[bytes] = []
        self.unavailable = 0
        self.slowest = 0.0
        """Seconds of the slowest answer."""

    async def write(self, number: int) -> None:
        began = time.monotonic()
        try:
            async with availability():
                await self._client.eval(APPEND, 1, self._key, str(number))  # type: ignore[misc]
        except QueueUnavailable:
            self.unavailable += 1
            await asyncio.sleep(0.01)
        else:
            self.written.append(b"%d" % number)
        self.slowest = max(self.slowest, time.monotonic() - began)

    @asynccontextmanager
    async def running(self, writers: int = 8) -> AsyncIterator[None]:
        """Any other exception of a writer ends the block."""
        stopped = False

        async def writer(first: int) -> None:
            number = first
            while not stopped:
                await self.write(number)
                number += writers

        async with asyncio.TaskGroup() as group:
            for first in range(writers):
                group.create_task(writer(first))
            yield
            stopped = True

    async def more(self, count: int = 50) -> None:
        """Waits until so many more writes were answered."""
        enough = len(self.written) + count

        async def reached() -> bool:
            return len(self.written) >= enough

        await until(reached)


async def test_each_hash_tag_has_a_client_of_its_primary(cluster: nodes.Cluster, store: Store) -> None:
    for port, tag in cluster.tags().items():
        client = store.client(tag)
        await client.set(f"key:{tag}", "value")
        assert await port_of(client) == port
        assert store.client(tag) is client


async def test_scripts_and_pipelines_run_on_one_connection(
    patient: None, cluster: nodes.Cluster, store: Store
) -> None:
    for tag in cluster.tags().values():
        client = store.client(tag)
        script = client.register_script(APPEND)
        assert await script([f"list:{tag}"], ["first"]) == 1
        async with client.pipeline(transaction=False) as pipe:
            pipe.execute_command("CLIENT", "ID")
            pipe.execute_command("EVALSHA", script.sha, 1, f"list:{tag}", "second")
            pipe.execute_command("WAIT", 1, 60_000)
            pipe.execute_command("CLIENT", "ID")
            first, length, replicas, last = await pipe.execute()
        assert (length, replicas, first) == (2, 1, last)


async def test_a_blocking_pop_with_a_script_behind_it(
    patient: None, cluster: nodes.Cluster, store: Store
) -> None:
    tag = next(iter(cluster.tags().values()))
    client = store.client(tag)
    script = client.register_script(APPEND)
    await script([f"list:{tag}"], ["loads it"])
    async with client.pipeline(transaction=False) as pipe:
        pipe.execute_command("BLPOP", f"bell:{tag}", 60)
        pipe.execute_command("EVALSHA", script.sha, 1, f"list:{tag}", "second")
        waiting = asyncio.create_task(pipe.execute())
        await until(lambda: blocked(client))
        await client.rpush(f"bell:{tag}", "rung")  # type: ignore[misc]
        rung, length = await waiting
    assert (rung[1], length) == (b"rung", 2)


async def blocked(client: ArqRedis) -> bool:
    return bool((await client.info("clients"))["blocked_clients"])


async def test_connections_are_bounded_for_each_hash_tag(cluster: nodes.Cluster, settings: Settings) -> None:
    store = open_store(settings, connections=4)
    tag = next(iter(cluster.tags().values()))
    client: Any = store.client(tag)
    await asyncio.gather(*(client.rpush(f"list:{tag}", i) for i in range(20)))
    assert await client.llen(f"list:{tag}") == 20
    assert len([one for one in await client.client_list() if one["cmd"] == "rpush"]) <= 2
    await store.aclose()


@moves_slots
async def test_a_slot_that_moves_is_followed_without_an_error(cluster: nodes.Cluster, store: Store) -> None:
    port, tag = next(iter(cluster.tags().items()))
    source, target, *_ = sorted(cluster.primaries(), key=lambda node: node.port != port)
    load = Load(store.client(tag), f"list:{tag}")
    async with load.running():
        for node in (target, source, target):
            await load.more()
            await asyncio.to_thread(cluster.move, tag, node)
        await load.more()
    assert load.unavailable == 0
    assert await port_of(store.client(tag)) == target.port
    stored: Any = await store.client(tag).lrange(f"list:{tag}", 0, -1)  # type: ignore[misc]
    assert sorted(stored) == sorted(load.written), "each ran once"
    await asyncio.to_thread(cluster.move, tag, source)


@moves_slots
async def test_a_pipeline_and_a_blocking_pop_follow_a_slot(
    patient: None, cluster: nodes.Cluster, store: Store
) -> None:
    port, tag = next(iter(cluster.tags().items()))
    source, target, *_ = sorted(cluster.primaries(), key=lambda node: node.port != port)
    client = store.client(tag)
    async with client.pipeline(transaction=False) as pipe:
        pipe.execute_command("BLPOP", f"bell:{tag}", 60)
        pipe.execute_command("EVAL", APPEND, 1, f"list:{tag}", "behind")
        waiting = asyncio.create_task(pipe.execute())
        await until(lambda: blocked(client))
        await asyncio.to_thread(cluster.move, tag, target)
        await client.rpush(f"bell:{tag}", "rung")  # type: ignore[misc]
        rung, length = await waiting
    assert (rung[1], length) == (b"rung", 1)
    await asyncio.to_thread(cluster.move, tag, source)


async def test_a_primary_that_dies_is_unavailable_until_its_replica_takes_over(
    cluster: nodes.Cluster, store: Store
) -> None:
    tags = cluster.tags()
    lost, tag = cluster.owner(next(iter(tags.values()))), next(iter(tags.values()))
    others = [Load(store.client(other), f"list:{other}") for other in tags.values() if other != tag]
    load = Load(store.client(tag), f"list:{tag}")
    async with load.running(), others[0].running(2), others[1].running(2):
        await load.more()
        cluster.kill(lost)
        await asyncio.to_thread(cluster.wait_for_failover, lost)
        await load.more()
        for other in others:
            await other.more()
    assert load.unavailable > 0
    assert [other.unavailable for other in others] == [0, 0]
    assert await port_of(store.client(tag)) != lost.port


async def test_an_idle_client_connects_to_the_new_primary_at_once(
    patient: None, cluster: nodes.Cluster, store: Store
) -> None:
    tag = next(iter(cluster.tags().values()))
    lost = cluster.owner(tag)
    async with store.client(tag).pipeline(transaction=False) as pipe:
        pipe.execute_command("SET", f"key:{tag}", "value")
        pipe.execute_command("WAIT", 1, 60_000)
        assert await pipe.execute() == [True, 1]
    cluster.kill(lost)
    await asyncio.to_thread(cluster.wait_for_failover, lost)
    assert await store.client(tag).get(f"key:{tag}") == b"value"


async def test_nobody_else_waits_for_a_node_that_hangs(
    patient: None, cluster: nodes.Cluster, settings: Settings
) -> None:
    store = open_store(settings)
    tags = cluster.tags()
    hangs = cluster.owner(next(iter(tags.values())))
    for tag in tags.values():  # leaves idle connections
        await asyncio.gather(*(store.client(tag).get(f"key:{tag}") for _ in range(4)))

    async def asked() -> None:
        await store.client(tags[hangs.port]).get("key:" + tags[hangs.port])

    async def others_are_served() -> None:
        others = [tag for port, tag in tags.items() if port != hangs.port]
        for tag in others:
            for i in range(20):
                await store.client(tag).rpush(f"list:{tag}", i)  # type: ignore[misc]
        fresh = open_store(settings)  # knows no map yet
        for tag in others:
            assert await fresh.client(tag).llen(f"list:{tag}") == 20  # type: ignore[misc]
        assert len(await fresh.primaries()) == 3
        assert await fresh.events.ping()
        await fresh.aclose()

    with cluster.standing_still(hangs):
        hanging = asyncio.create_task(asked())
        with cluster.without_failover():
            async with asyncio.timeout(60):
                await others_are_served()
            assert not hanging.done()
        await asyncio.to_thread(cluster.wait, lambda: cluster.owner(tags[hangs.port]) is not hangs)
        async with asyncio.timeout(60):
            # the new primary serves those who come now
            await store.primaries()
            await store.client(tags[hangs.port]).set("key:" + tags[hangs.port], "value")
    await asyncio.gather(hanging, return_exceptions=True)
    await store.aclose()
    await asyncio.to_thread(cluster.wait, cluster.healthy)


async def test_primaries_can_be_asked_each_and_follow_a_failover(
    cluster: nodes.Cluster, store: Store
) -> None:
    before = await store.primaries()
    assert set(before) == {node.address for node in cluster.primaries()}
    for name, client in before.items():
        assert (await client.config_get("port"))["port"] == name.rpartition(":")[2]
    assert await store.primaries() == before, "the same clients"
    lost = cluster.primaries()[0]
    cluster.kill(lost)
    assert lost.address in await store.primaries()
    with pytest.raises(QueueUnavailable):
        async with availability():
            await before[lost.address].ping()
    await asyncio.to_thread(cluster.wait_for_failover, lost)
    after = await store.primaries()
    assert set(after) == {node.address for node in cluster.primaries()}
    await asyncio.gather(*(client.ping() for client in after.values()))


async def test_without_any_node_the_queue_is_unavailable() -> None:
    ports = [free_port() for _ in range(2)]
    store = open_store(Settings(redis_url=f"redis+cluster://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/"))
    for use in (store.client("{1}").ping, store.events.ping, store.primaries):
        with pytest.raises(QueueUnavailable, match=r"no node of the cluster answers: .* Connect call failed"):
            async with availability():
                await use()
    await store.aclose()
