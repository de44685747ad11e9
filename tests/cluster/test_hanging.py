"""Commands that wait for a primary that hangs are sent to the one that took over, long before a timeout."""

import asyncio
from typing import Any

import pytest

from jobs.settings import Settings
from jobs.store import connection
from jobs.store.store import open_store
from tests.cluster import nodes
from tests.waiting import until


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer within the test's time is a timeout."""
    monkeypatch.setitem(connection.TIMEOUTS, "socket_timeout", 600.0)


async def test_commands_to_a_node_that_hangs_go_to_its_replica(
    cluster: nodes.Cluster, settings: Settings
) -> None:
    store = open_store(settings)
    tag = next(iter(cluster.tags().values()))
    client: Any = store.client(tag)
    hangs = cluster.owner(tag)
    await asyncio.gather(*(client.ping() for _ in range(4)))  # leaves idle connections

    async def blocked() -> int:
        async with client.pipeline(transaction=False) as pipe:
            pipe.execute_command("BLPOP", f"bell:{tag}", 0.5)
            pipe.execute_command("RPUSH", f"list:{tag}", "behind")
            _, length = await pipe.execute()
            return int(length)

    with cluster.standing_still(hangs):
        # most of them make a new connection, which is accepted and not answered
        commands = [asyncio.create_task(client.incr(f"count:{tag}")) for _ in range(20)]
        async with asyncio.timeout(60):
            lengths = await asyncio.gather(blocked(), blocked())
            counts = await asyncio.gather(*commands)
        assert cluster.owner(tag) is not hangs
    assert sorted(lengths) == [1, 2]
    assert sorted(counts) == list(range(1, 21))
    await store.aclose()
    await asyncio.to_thread(cluster.wait, cluster.healthy)


async def test_an_answer_that_takes_long_is_awaited(cluster: nodes.Cluster, settings: Settings) -> None:
    """The map is asked again meanwhile; the primary is still the same."""
    store = open_store(settings)
    tag = next(iter(cluster.tags().values()))
    owner, client = cluster.owner(tag), store.client(tag)
    await client.ping()
    cluster.admin(owner).config_resetstat()
    waiting: asyncio.Task[Any] = asyncio.create_task(client.blpop([f"bell:{tag}"], 0))  # type: ignore[arg-type]

    def asked() -> int:
        stats = [cluster.admin(node).info("commandstats") for node in cluster.nodes]
        return sum(each.get("cmdstat_cluster|slots", {"calls": 0})["calls"] for each in stats)

    before = asked()

    async def asked_twice() -> bool:
        return await asyncio.to_thread(asked) >= before + 2

    await until(asked_twice)
    assert not waiting.done()
    await client.rpush(f"bell:{tag}", "rung")  # type: ignore[misc]
    assert await waiting == (f"bell:{tag}".encode(), b"rung")
    assert cluster.admin(owner).info("commandstats")["cmdstat_blpop"]["calls"] == 1, "it was sent once"
    await store.aclose()
