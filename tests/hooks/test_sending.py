"""From the end of a job to its receiver: what arrives, how it is signed, and how often."""

from typing import Any

import msgspec
import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from hooks import keys
from hooks.deliveries import Deliveries
from hooks.service import Hooks
from jobs.ledger import keys as ledger_keys
from jobs.ledger.shards import Shards
from jobs.store.store import Server
from jobs.webhook import Webhook
from tests.hooks.conftest import Sending
from tests.hooks.ends import cancelled, endpoint, finished, log_of, settled, verified
from tests.hooks.receiver import Receiver, status
from tests.ledger import MODEL, JobQueue
from tests.waiting import until


async def test_the_end_of_a_job_arrives_signed(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    succeeded = await finished(queue, Webhook(receiver.url("/a")))
    ended = await cancelled(queue, Webhook(receiver.url("/b?c=d"), ["job.cancelled"]))
    await cancelled(queue, Webhook(receiver.url("/unwanted"), ["job.succeeded", "job.failed"]))
    await cancelled(queue)
    async with sending():
        deliveries = await settled(hooks, 2)
    secret = (await hooks.secret("")).secret
    events = {each.path: verified(secret, each) for each in receiver.received}
    assert events.keys() == {"/a", "/b?c=d"}
    found = events["/a"]
    assert (found["object"], found["type"]) == ("event", "job.succeeded")
    assert found["id"] in {each.event for each in deliveries}
    assert abs(found["created_at"] - deliveries[0].created / 1000) < 60
    data = found["data"]
    assert (data["id"], data["object"], data["model"], data["status"]) == (
        succeeded,
        "job",
        MODEL,
        "succeeded",
    )
    assert data["counts"] == {"total": 2, "succeeded": 2, "failed": 0, "tokens": data["counts"]["tokens"]}
    assert events["/b?c=d"]["data"]["id"] == ended
    assert {each.state for each in deliveries} == {"delivered"}
    assert all(each.headers["content-type"] == "application/json" for each in receiver.received)
    assert not any([await queue.redis.xlen(name) for name in queue.everywhere(ledger_keys.OUTBOX)])


async def test_endpoints_hear_of_their_owners_jobs_for_the_events_they_want(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    mine = await endpoint(hooks, receiver.url("/mine"), "alice")
    await endpoint(hooks, receiver.url("/failures"), "alice", chosen=("job.failed",))
    await endpoint(hooks, receiver.url("/other"), "bob")
    off = await endpoint(hooks, receiver.url("/off"), "alice")
    await hooks.update(off.id, sees="alice", enabled=False)
    job_id = await cancelled(queue, Webhook(receiver.url("/own")), "alice", has_endpoints=True)
    await cancelled(queue, None, "alice")
    async with sending():
        await settled(hooks, 2, "alice")
    by_path = {each.path: each for each in receiver.received}
    assert by_path.keys() == {"/mine", "/own"}
    assert verified(mine.secret, by_path["/mine"])["data"]["id"] == job_id
    assert by_path["/own"].id == by_path["/mine"].id, "one event, two receivers"
    verified((await hooks.secret("alice")).secret, by_path["/own"])


async def test_a_rotated_secret_signs_with_the_one_before_it(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    made = await endpoint(hooks, receiver.url("/endpoint"))
    new = await hooks.rotate(made.id, sees=None)
    before = await hooks.secret("")
    after = await hooks.rotate_secret("")
    assert len({made.secret, new.secret, before.secret, after.secret}) == 4
    await cancelled(queue, Webhook(receiver.url("/own")), has_endpoints=True)
    async with sending():
        await settled(hooks, 2)
    by_path = {each.path: each for each in receiver.received}
    for path, secrets in {"/endpoint": (made, new), "/own": (before, after)}.items():
        for each in secrets:
            verified(each.secret, by_path[path])
        assert len(by_path[path].headers["webhook-signature"].split()) == 2
    assert len(replace(after, previous_until=1).keys(2)) == 1, "not for ever"


async def test_odd_entries_of_the_outbox_stop_nothing(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    name = queue.shards.first.key(ledger_keys.OUTBOX)
    for fields in (
        {"a": "b"},
        {"id": "x", "webhook": b"\xc1"},
        {"id": b"\xff", "webhook": b"\x80", "record": "?"},
    ):
        await queue.redis.xadd(name, fields)  # type: ignore[arg-type]
    await cancelled(queue, Webhook(receiver.url("/")))
    async with sending():
        await settled(hooks, 1)
    assert (await hooks.figures()).counts["malformed"] == 3
    assert await queue.redis.xlen(name) == 0


async def test_an_entry_that_is_moved_twice_is_delivered_once(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a sender that died before it deleted the entry."""
    await cancelled(queue, Webhook(receiver.url("/")))
    xdel = queue.redis.xdel
    calls = 0

    async def lost(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        return await xdel(*given) if calls > 2 else 0

    monkeypatch.setattr(queue.redis, "xdel", lost)
    async with sending():
        await settled(hooks, 1)

        async def moved() -> bool:
            return calls > 2

        await until(moved)
    assert len(receiver.received) == 1


async def test_the_log_of_an_owner_is_bounded_and_what_is_given_up_stays(
    queue: JobQueue, receiver: Receiver, sending: Sending, redis: ArqRedis
) -> None:
    small = Shards(Server(redis), queue.settings.model_copy(update={"webhook_log": 3}), [MODEL])
    receiver.answers["/bad"] = [status(400)]
    await cancelled(queue, Webhook(receiver.url("/bad")))
    bounded = Hooks(small)
    async with sending(small):
        await settled(bounded, 1)
        for number in range(5):
            await cancelled(queue, Webhook(receiver.url(f"/{number}")))

            async def arrived(path: str = f"/{number}") -> bool:
                return bool(receiver.at(path)) and all(
                    each.state != "pending" for each in await log_of(bounded)
                )

            await until(arrived)
    listed, _ = await bounded.deliveries.page("", 100)
    assert [each.url for each in listed] == [receiver.url(f"/{number}") for number in (4, 3, 2)]
    [failed], _ = await bounded.deliveries.page("", 100, undeliverable=True)
    assert failed.url == receiver.url("/bad")
    left = await redis.keys(keys.DELIVERY.of("*", queue.shards.first.tag))
    assert len(left) == 4, "what is not listed and was delivered is gone"
    assert all([await redis.pttl(name) > 0 for name in left])


async def test_what_was_delivered_when_the_log_had_newer_ones_is_deleted(
    queue: JobQueue, receiver: Receiver, sending: Sending, redis: ArqRedis
) -> None:
    """Otherwise an owner with many jobs would fill the memory with deliveries that nobody can find."""
    small = Shards(Server(redis), queue.settings.model_copy(update={"webhook_log": 3}), [MODEL])
    for _ in range(10):
        await cancelled(queue, Webhook(receiver.url("/")))
    async with sending(small):

        async def arrived() -> bool:
            return len(receiver.received) == 10 and all(
                each.state == "delivered" for each in await log_of(Hooks(small))
            )

        await until(arrived)
    left = await redis.keys(keys.DELIVERY.of("*", queue.shards.first.tag))
    assert len(left) == 3


async def test_two_senders_share_the_work(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    for _ in range(60):
        await cancelled(queue, Webhook(receiver.url("/")))
    async with sending(), sending():
        await settled(hooks, 60)
    assert len(receiver.received) == 60
    assert set(receiver.ids.values()) == {1}


async def test_pages_of_the_log_follow_each_other(queue: JobQueue, hooks: Hooks, receiver: Receiver) -> None:
    deliveries: Deliveries = hooks.deliveries
    made = await endpoint(hooks, receiver.url("/"))
    sent = [(await hooks.test(made.id, sees=None)).id for _ in range(5)]
    first, after = await deliveries.page("", 2)
    second, after = await deliveries.page("", 2, after)
    third, end = await deliveries.page("", 2, after)
    assert sorted(each.id for each in (*first, *second, *third)) == sorted(sent)
    assert end is None
    assert all(each.type == "webhook.test" for each in first)


async def test_the_end_of_a_batch_arrives_as_its_script_wrote_it(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, sending: Sending
) -> None:
    made = await endpoint(hooks, receiver.url("/endpoint"), "alice")
    wanted = {"url": receiver.url("/own"), "events": ["batch.failed"], "endpoints": True}
    name = queue.shards.first.key(ledger_keys.OUTBOX)
    for event, webhook in (
        ("batch.failed", msgspec.msgpack.encode(wanted)),
        ("batch.completed", msgspec.json.encode(wanted)),
        ("batch.done", msgspec.json.encode(wanted)),
    ):
        data = msgspec.json.encode({"id": "batch_1", "status": event.removeprefix("batch.")})
        fields = {"id": "batch_1", "event": event, "owner": "alice", "webhook": webhook, "data": data}
        await queue.redis.xadd(name, fields)  # type: ignore[arg-type]
    async with sending():
        await settled(hooks, 3, "alice")
    events = [verified(made.secret, each) for each in receiver.at("/endpoint")]
    assert sorted(event["type"] for event in events) == ["batch.completed", "batch.failed"]
    [own] = receiver.at("/own")
    found = verified((await hooks.secret("alice")).secret, own)
    assert found["data"] == {"id": "batch_1", "status": "failed"}
    assert (await hooks.figures()).counts["malformed"] == 1
