"""Another program's data under our keys: who is stopped, and whether the error and the log name the key."""

from collections.abc import Awaitable, Callable

import pytest
from arq.connections import ArqRedis
from structlog.testing import capture_logs

from hooks import keys
from hooks.service import Hooks
from jobs.errors import QueueDamaged
from jobs.ledger.keys import Key
from jobs.webhook import Webhook
from tests.hooks.conftest import Sending
from tests.hooks.ends import cancelled, endpoint, settled
from tests.hooks.receiver import Receiver
from tests.ledger import JobQueue
from tests.waiting import until

FOREIGN = "another program's data"

USES: dict[str, tuple[Key, Callable[[Hooks, str], Awaitable[object]]]] = {
    "endpoints": (keys.HOOKS, lambda hooks, _: hooks.endpoints(sees=None)),
    "a secret": (keys.HOOKS, lambda hooks, _: hooks.secret("")),
    "figures": (keys.HOSTS, lambda hooks, _: hooks.figures()),
    "counts": (keys.COUNTS, lambda hooks, _: hooks.deliveries.count("malformed", 1)),
    "the log": (keys.LOG, lambda hooks, _: hooks.deliveries.page("", 10)),
    "what was given up": (
        keys.UNDELIVERABLE,
        lambda hooks, _: hooks.deliveries.page("", 10, undeliverable=True),
    ),
    "a delivery": (keys.DELIVERY, lambda hooks, sent: hooks.deliveries.read(sent, sees=None)),
    "one that is sent again": (keys.DUE, lambda hooks, sent: hooks.resend(sent, sees=None)),
}


@pytest.mark.parametrize("use", USES)
async def test_the_error_and_the_log_name_the_key(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, redis: ArqRedis, use: str
) -> None:
    kind, call = USES[use]
    made = await endpoint(hooks, receiver.url("/"))
    sent = await hooks.test(made.id, sees=None)
    name = queue.shards.first.key(kind, {keys.DELIVERY: sent.id, keys.DUE: sent.host}.get(kind, ""))
    await redis.set(name, FOREIGN, ex=60)
    with capture_logs() as logged, pytest.raises(QueueDamaged) as caught:
        await call(hooks, sent.id)
    assert caught.value.key == name
    assert [each["key"] for each in logged] == [name]
    await redis.delete(name)


async def test_data_of_others_in_the_order_of_hosts_is_waited_for(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending, redis: ArqRedis
) -> None:
    name = queue.shards.first.key(keys.HOSTS)
    await redis.set(name, FOREIGN, ex=60)
    await cancelled(queue, Webhook(receiver.url("/")))
    async with sending():
        with pytest.raises(QueueDamaged):
            await hooks.figures()
        await redis.delete(name)
        await settled(hooks, 1)
    assert len(receiver.received) == 1


async def test_data_of_others_under_one_host_stops_no_other_host(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending, redis: ArqRedis
) -> None:
    made = await endpoint(hooks, receiver.url("/damaged", "localhost"))
    sent = await hooks.test(made.id, sees=None)
    name = queue.shards.first.key(keys.DUE, sent.host)
    await redis.set(name, FOREIGN, ex=60)
    await cancelled(queue, Webhook(receiver.url("/")))
    with capture_logs() as logged:
        async with sending():

            async def arrived() -> bool:
                return bool(receiver.at("/"))

            await until(arrived)
    assert name in {each.get("key") for each in logged}
    await redis.delete(name)
