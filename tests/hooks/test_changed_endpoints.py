"""Endpoints that are changed, disabled or deleted while events are on their way to them."""

import asyncio

import pytest
from arq.connections import ArqRedis

from hooks import keys, known
from hooks.delivery import Delivery, Try
from hooks.service import Hooks
from tests.hooks.conftest import Sending
from tests.hooks.ends import endpoint, settled
from tests.hooks.receiver import Receiver, status
from tests.ledger import JobQueue
from tests.waiting import until


async def test_what_waits_is_sent_to_the_address_that_the_endpoint_has_now(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    """First at another host, then at the same one."""
    made = await endpoint(hooks, receiver.url("/old"))
    sent = await hooks.test(made.id, sees=None)
    for path in ("/host", "/path"):
        await hooks.resend(sent.id, sees=None)
        await hooks.update(made.id, sees=None, url=receiver.url(path, "localhost"))
        async with sending():
            [found] = await settled(hooks, 1)
        assert (found.state, found.url) == ("delivered", receiver.url(path, "localhost"))
        assert found.host == f"localhost:{receiver.port}"
    assert [each.path for each in receiver.received] == ["/host", "/path"]
    assert (await hooks.deliveries.waiting()).oldest_ms == 0, "nothing is left at the old place"


async def test_one_that_is_sent_again_does_not_wait_for_the_host_before(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending, redis: ArqRedis
) -> None:
    """A pause of its circuit breaker takes up to five minutes."""
    first = queue.shards.first
    sent, again = await sent_again_elsewhere(hooks, receiver)
    assert (again.url, again.host) == (receiver.url("/new", "localhost"), f"localhost:{receiver.port}")
    assert await redis.zcard(first.key(keys.DUE, sent.host)) == 0
    await redis.zadd(first.key(keys.HOSTS), {sent.host: 1e14})
    async with sending():
        await settled(hooks, 1)
    assert [each.path for each in receiver.received] == ["/new"]


async def test_one_that_another_release_left_at_the_host_before_is_sent_once(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending, redis: ArqRedis
) -> None:
    """An API process of 0.1 sends a delivery again at the host that it has read."""
    first = queue.shards.first
    sent, _ = await sent_again_elsewhere(hooks, receiver)
    await redis.zadd(first.key(keys.DUE, sent.host), {sent.id: 1})
    await redis.zadd(first.key(keys.HOSTS), {sent.host: 1})
    async with sending():
        await settled(hooks, 1)

        async def nothing_is_left() -> bool:
            return not await redis.zcard(first.key(keys.HOSTS))

        await until(nothing_is_left)
    assert [each.path for each in receiver.received] == ["/new"]
    assert await redis.keys(first.key(keys.DUE) + "*") == []


async def test_a_try_that_fails_after_the_change_is_followed_at_the_new_host(
    queue: JobQueue, hooks: Hooks, redis: ArqRedis
) -> None:
    """Another sender redirected it, because the lease of the first one had ended."""
    first = queue.shards.first
    made = await endpoint(hooks, "http://127.0.0.1:1/")
    await hooks.test(made.id, sees=None)
    [leased] = await hooks.deliveries.lease(1, 1, {})
    target = hooks.urls.receiver("http://127.0.0.1:2/", made.id)
    await hooks.deliveries.redirect(leased.delivery, target)
    await hooks.deliveries.settle(leased.delivery, "failed", Try(at=1, ms=1), 3600)
    assert await redis.zrange(first.key(keys.DUE, "127.0.0.1:1"), 0, -1) == []
    assert await redis.zrange(first.key(keys.DUE, "127.0.0.1:2"), 0, -1) == [leased.delivery.id.encode()]
    await hooks.deliveries.settle(leased.delivery, "delivered", Try(at=1, ms=1))
    await hooks.deliveries.redirect(leased.delivery, target)
    assert (await hooks.deliveries.read(leased.delivery.id, sees=None)).state == "delivered"
    assert await redis.keys(first.key(keys.DUE) + "*") == []


async def test_an_endpoint_with_a_new_address_is_not_disabled_by_the_old_one(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    """The event, which the old address did not want, goes to the new one."""
    made = await endpoint(hooks, receiver.url("/old"))

    async def moves(writer: asyncio.StreamWriter) -> None:
        await hooks.update(made.id, sees=None, url=receiver.url("/new"))
        writer.write(status(410))

    receiver.answers["/old"] = [moves]
    sent = await hooks.test(made.id, sees=None)
    async with sending():
        await settled(hooks, 1)
    found = await hooks.deliveries.read(sent.id, sees=None)
    assert (found.state, [each.status for each in found.tries]) == ("delivered", [410, 204])
    assert [each.path for each in receiver.received] == ["/old", "/new"]
    assert (await hooks.endpoint(made.id, sees=None)).enabled


@pytest.mark.parametrize("how", ["deleted", "disabled"])
async def test_what_waits_for_an_endpoint_that_is_gone_is_listed_as_undeliverable(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending, how: str
) -> None:
    made = await endpoint(hooks, receiver.url("/"))
    sent = await hooks.test(made.id, sees=None)
    if how == "deleted":
        await hooks.delete(made.id, sees=None)
    else:
        await hooks.update(made.id, sees=None, enabled=False)
    async with sending():
        await settled(hooks, 1)
    [listed], _ = await hooks.deliveries.page("", 10, undeliverable=True)
    words = "the endpoint was deleted" if how == "deleted" else "the endpoint is disabled"
    assert (listed.id, listed.tries[-1].error) == (sent.id, words)
    assert receiver.received == []


async def test_one_that_was_enabled_just_now_gets_its_test(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender has a copy of the endpoints, which may be older."""
    monkeypatch.setattr(known, "FRESH", 3600.0)
    made = await endpoint(hooks, receiver.url("/old"))
    other = await endpoint(hooks, receiver.url("/other"))
    await hooks.update(made.id, sees=None, enabled=False)
    async with sending():
        await hooks.test(other.id, sees=None)

        async def has_copy() -> bool:
            return bool(receiver.at("/other"))

        await until(has_copy)
        await hooks.update(made.id, sees=None, enabled=True)
        sent = await hooks.test(made.id, sees=None)
        await settled(hooks, 2)
    assert (await hooks.deliveries.read(sent.id, sees=None)).state == "delivered"


async def sent_again_elsewhere(hooks: Hooks, receiver: Receiver) -> tuple[Delivery, Delivery]:
    """A delivery whose endpoint has moved to another host, before and after it is sent again."""
    made = await endpoint(hooks, receiver.url("/old"))
    sent = await hooks.test(made.id, sees=None)
    await hooks.update(made.id, sees=None, url=receiver.url("/new", "localhost"))
    return sent, await hooks.resend(sent.id, sees=None)
