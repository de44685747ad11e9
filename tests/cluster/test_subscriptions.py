"""Events of a cluster: its nodes pass them on to each other, and a subscriber may be at any of them."""

import asyncio

from jobs.store.store import Store
from tests.cluster import nodes
from tests.waiting import until


async def test_messages_reach_subscribers_of_any_node(cluster: nodes.Cluster, store: Store) -> None:
    async with store.events.pubsub() as pubsub:
        await pubsub.subscribe("channel")
        assert (await pubsub.get_message(timeout=30))["type"] == "subscribe"
        for tag in cluster.tags().values():
            await store.client(tag).eval("redis.call('PUBLISH', 'channel', ARGV[1])", 1, tag, tag)  # type: ignore[misc]
        await store.events.publish("channel", "directly")
        received = {(await pubsub.get_message(timeout=30))["data"].decode() for _ in range(4)}
    assert received == {*cluster.tags().values(), "directly"}


async def test_a_subscription_goes_to_another_node_when_its_own_dies(
    cluster: nodes.Cluster, store: Store
) -> None:
    async with store.events.pubsub() as pubsub:
        await pubsub.subscribe("channel")
        assert (await pubsub.get_message(timeout=30))["type"] == "subscribe"
        lost = next(node for node in cluster.nodes if node.port == pubsub.connection.port)
        cluster.kill(lost)
        assert (await pubsub.get_message(timeout=30))["type"] == "subscribe", "again, without an exception"
        assert pubsub.connection.port != lost.port

        async def published() -> bool:
            with_links = await store.events.publish("channel", "text")
            message = await pubsub.get_message(timeout=0.1)
            return with_links is not None and message is not None and message["data"] == b"text"

        await until(published)
    if lost in cluster.running():
        return
    await asyncio.to_thread(cluster.wait_for_failover, lost)
