"""Receivers that fail, hang, redirect, are gone, or lead elsewhere: what follows from each answer."""

import socket
import threading
from typing import Any

import pytest
from arq.connections import ArqRedis

from hooks import keys, sender
from hooks.service import Hooks
from jobs.ledger.shards import Shards
from jobs.outbound.addresses import Addresses
from jobs.outbound.transport import OutboundTransport
from jobs.store.store import Server
from jobs.webhook import Webhook
from tests.hooks.conftest import Sending
from tests.hooks.ends import GIVEN_UP, cancelled, endpoint, log_of, settled
from tests.hooks.receiver import Receiver, hang, status
from tests.ledger import MODEL, JobQueue
from tests.waiting import until


async def test_a_failing_receiver_is_tried_seven_times_with_the_same_id(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    receiver.answers["/"] = [
        status(500),
        status(404),
        status(302, "location: /elsewhere"),
        b"no HTTP\r\n\r\n",
        status(503),
    ]
    await cancelled(queue, Webhook(receiver.url("/")))
    async with sending():
        [failed] = await settled(hooks, 1)
        assert failed.state == "undeliverable"
        assert [each.status for each in failed.tries] == [500, 404, 302, None, 503, 503, 503]
        assert "redirects are not followed" in (failed.tries[2].error or "")
        assert len(receiver.received) == 7
        assert len(receiver.ids) == 1
        assert receiver.at("/elsewhere") == []
        assert [each.id for each in (await hooks.deliveries.page("", 10, undeliverable=True))[0]] == [
            failed.id
        ]

        receiver.answers["/"] = [status(200)]
        again = await hooks.resend(failed.id, sees=None)
        assert again.state == "pending"

        async def delivered() -> bool:
            return (await hooks.deliveries.read(failed.id, sees=None)).state == "delivered"

        await until(delivered)
    assert (await hooks.deliveries.page("", 10, undeliverable=True)) == ([], None)
    assert len(receiver.ids) == 1, "the id stays the same"
    counts = (await hooks.figures()).counts
    assert counts == {"delivered": 1, "failed": 6, "undeliverable": 1, "dropped": 0, "malformed": 0}


async def test_a_receiver_that_is_gone_ends_its_endpoint(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    receiver.answers["/gone"] = [status(410)]
    made = await endpoint(hooks, receiver.url("/gone"))
    for _ in range(2):
        await cancelled(queue, Webhook(receiver.url("/own")), has_endpoints=True)
    async with sending():
        found = await settled(hooks, 4)
        assert [each.state for each in found if each.endpoint] == ["undeliverable"] * 2
        stored = await hooks.endpoint(made.id, sees=None)
        assert (stored.enabled, stored.reason) == (False, "its receiver answered 410 Gone")
        assert len(receiver.at("/own")) == 2
        await hooks.delete(made.id, sees=None)
        await hooks.resend(next(each.id for each in found if each.endpoint), sees=None)

        async def given_up() -> bool:
            last = [each.tries[-1].error for each in await log_of(hooks) if each.endpoint]
            return "the endpoint was deleted" in last

        await until(given_up)


async def test_a_secret_that_cannot_be_read_ends_deliveries(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending, redis: ArqRedis
) -> None:
    await redis.hset(queue.shards.first.key(keys.HOOKS), "secret:", "another program's data")  # type: ignore[misc]
    await cancelled(queue, Webhook(receiver.url("/")))
    async with sending():
        [found] = await settled(hooks, 1)
    assert (found.state, found.tries[-1].error) == ("undeliverable", "the secret cannot be read")
    assert receiver.received == []


async def test_a_host_that_hangs_delays_no_other(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    receiver.answers["/hangs"] = [hang]
    slow = receiver.url("/hangs", "localhost")
    for _ in range(40):
        await cancelled(queue, Webhook(slow))
    for _ in range(40):
        await cancelled(queue, Webhook(receiver.url("/quick")))
    async with sending():

        async def arrived() -> bool:
            return len(receiver.at("/quick")) == 40

        await until(arrived)
        assert len(receiver.at("/hangs")) <= 16, "an eighth of the connections at a time"


@pytest.mark.parametrize("settings", [0.5], indirect=True)
async def test_an_owner_with_many_hosts_that_hang_delays_no_other(
    queue: JobQueue, receiver: Receiver, sending: Sending, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a name of its own, so no breaker knows them."""

    async def lookup(name: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(sender, "SLOW_AFTER", 0.05)
    receiver.answers["/hangs"] = [hang]
    few = Shards(Server(redis), queue.settings.model_copy(update={"webhook_connections": 8}), [MODEL])
    for number in range(100):
        await cancelled(queue, Webhook(receiver.url("/hangs", f"h{number}.example")), "mallory")
    for _ in range(20):
        await cancelled(queue, Webhook(receiver.url("/quick", "quick.example")), "alice")
    transport = OutboundTransport(Addresses("127.0.0.1"), max_connections=8, lookup=lookup)
    async with sending(few, transport=transport):

        async def arrived() -> bool:
            return len({each.id for each in receiver.at("/quick")}) == 20

        await until(arrived)
        assert len(receiver.at("/hangs")) < 50


@pytest.mark.parametrize("settings", [0.5], indirect=True)
async def test_an_owner_with_names_whose_look_ups_hang_delays_no_other(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    look_up = socket.getaddrinfo

    def hanging(name: str, *given: Any, **options: Any) -> Any:
        if name.endswith(".example"):
            answers.wait(600)
        return look_up(name, *given, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    for number in range(40):
        await cancelled(queue, Webhook(receiver.url("/", f"h{number}.example")), "mallory")
    try:
        async with sending():

            async def failed() -> bool:
                return any(each.tries for each in await log_of(hooks, "mallory"))

            await until(failed)
            await cancelled(queue, Webhook(receiver.url("/")), "alice")
            await settled(hooks, 1, "alice")
    finally:
        answers.set()
    assert [each.state for each in await log_of(hooks, "alice")] == ["delivered"]
    errors = {attempt.error for each in await log_of(hooks, "mallory") for attempt in each.tries}
    assert "no answer within 0.5 s" in errors


@pytest.mark.parametrize("settings", [0.5], indirect=True)
async def test_a_host_that_does_not_answer_is_left_alone_and_its_events_are_given_up_in_the_end(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    receiver.answers["/hangs"] = [hang]
    for _ in range(30):
        await cancelled(queue, Webhook(receiver.url("/hangs")))
    async with sending():
        found = await settled(hooks, 30)
    assert {each.state for each in found} == {"undeliverable"}
    assert GIVEN_UP in {each.tries[-1].error for each in found}
    assert len(receiver.received) < 30 * 7


async def test_retry_after_is_honoured(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    receiver.answers["/"] = [status(429, "retry-after: 30")]
    await cancelled(queue, Webhook(receiver.url("/")))
    async with sending():

        async def tried() -> bool:
            found = await log_of(hooks)
            return bool(found and found[0].tries)

        await until(tried)
    [waiting] = await log_of(hooks)
    assert waiting.next is not None
    assert 25_000 < waiting.next - waiting.tries[0].at < 60_000


@pytest.mark.parametrize(
    ("names", "reached"),
    [([["10.1.2.3"]], 0), ([["127.0.0.1"], ["10.1.2.3"]], 1), ([["10.1.2.3"], ["127.0.0.1"]], 1)],
    ids=["private", "rebinds after the look-up", "rebinds before the second try"],
)
async def test_only_the_address_that_was_checked_is_reached(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending, names: list[list[str]], reached: int
) -> None:
    asked: list[str] = []

    async def lookup(name: str, port: int) -> list[str]:
        asked.append(name)
        return names[min(len(asked), len(names)) - 1]

    transport = OutboundTransport(Addresses("127.0.0.1"), max_connections=8, lookup=lookup)
    await cancelled(queue, Webhook(receiver.url("/", "hooks.example")))
    async with sending(transport=transport):
        [found] = await settled(hooks, 1)
    assert len(receiver.received) == reached
    assert found.state == ("delivered" if reached else "undeliverable")
    made = [each for each in found.tries if each.error != GIVEN_UP]
    assert len(asked) == len(made), "one look-up for each try"
    assert not reached or receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"


async def test_what_the_settings_do_not_allow_any_more_is_not_sent(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending, redis: ArqRedis
) -> None:
    """For example the address of a job that was submitted before, or that somebody wrote to Redis."""
    for url in ("http://10.1.2.3/", "file:///etc/passwd", "nothing", "http://u:p@127.0.0.1/", "http://[::1"):
        await cancelled(queue, Webhook(url))
    async with sending():
        found = await settled(hooks, 5)
    assert {each.state for each in found} == {"undeliverable"}
    assert {each.tries[-1].error for each in found} == {"the server's settings do not allow this address"}
