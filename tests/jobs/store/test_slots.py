"""The map of a cluster's slots: nodes described in each way that servers use, and news of one slot."""

import asyncio
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs.settings import Settings
from jobs.store.slots import SlotMap, endpoint
from jobs.store.store import open_store
from tests.cluster import nodes
from tests.ports import free_port


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ([b"10.0.0.1", 6379], ("10.0.0.1", 6379)),
        ([b"10.0.0.1", 6379, b"id", []], ("10.0.0.1", 6379)),
        ([b"one.internal", 6379, b"id", [b"ip", b"10.0.0.1"]], ("one.internal", 6379)),
        ([None, 6379, b"id", [b"ip", b"10.0.0.1"]], ("asked", 6379)),
        ([b"", 6379, b"id", []], ("asked", 6379)),
        ([b"?", 6379, b"id", [b"ip", b"10.0.0.1"]], ("10.0.0.1", 6379)),
        ([b"?", 6379, b"id", []], None),
    ],
)
def test_where_a_node_is_reached(described: list[object], expected: tuple[str, int] | None) -> None:
    assert endpoint(described, "asked") == expected


async def test_a_slot_that_moved_is_found_without_asking() -> None:
    slots = SlotMap([("127.0.0.1", free_port())], {})
    slots.moved(7, ("127.0.0.1", 1))
    assert await slots.find(7) == ("127.0.0.1", 1)
    slots.suspect(("127.0.0.1", 1))
    with pytest.raises(RedisConnectionError, match="no node of the cluster answers"):
        await slots.find(7)


async def test_those_who_need_the_map_at_once_share_a_query(tmp_path: Path) -> None:
    with nodes.running(tmp_path, primaries=1, replicas=0) as cluster:
        admin = cluster.admin(cluster.nodes[0])
        admin.config_resetstat()
        store = open_store(Settings(redis_url=cluster.url()))
        await asyncio.gather(*(store.client(f"{{{i}}}").get(f"key:{{{i}}}") for i in range(50)))
        assert admin.info("commandstats")["cmdstat_cluster|slots"]["calls"] == 1
        await store.aclose()


@pytest.mark.parametrize(
    ("kind", "host"), [("ip", "127.0.0.1"), ("hostname", "localhost"), ("unknown-endpoint", "127.0.0.1")]
)
async def test_nodes_are_reached_as_they_prefer(tmp_path: Path, kind: str, host: str) -> None:
    with nodes.running(
        tmp_path, replicas=0, cluster_preferred_endpoint_type=kind, cluster_announce_hostname="localhost"
    ) as cluster:
        store = open_store(Settings(redis_url=cluster.url()))
        for port, tag in cluster.tags().items():
            assert (await store.client(tag).config_get("port"))["port"] == str(port)
        assert set(await store.primaries()) == {f"{host}:{node.port}" for node in cluster.nodes}
        if nodes.moves_slots():
            (_, tag), (target, _), *_ = cluster.tags().items()
            cluster.move(tag, next(node for node in cluster.nodes if node.port == target))
            await store.client(tag).set(f"key:{tag}", "value")
            assert (await store.client(tag).config_get("port"))["port"] == str(target)
        await store.aclose()
