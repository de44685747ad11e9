"""The limits of senders: how much is accepted, what is refused, what the owner's unfinished jobs count as.

The windows are so long, or the rates so low, that no test depends on the time that it takes.
"""

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.errors import IdempotencyMismatch, JobTooLarge, LimitExceeded, QueueDamaged, QueueFull
from jobs.ledger import keys
from jobs.ledger.ids import new_id
from jobs.ledger.limiting import Standing
from jobs.owners import Limits, Sender
from jobs.schema import NewJob
from jobs.settings import Settings
from tests.jobs.ledger.test_queue import MODEL, new_job
from tests.jobs.monitored import monitored
from tests.ledger import JobQueue, run_one


@pytest.fixture(params=[1, 4])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(update={"shards": request.param})


def sent_by(owner: str = "ann", inputs: int = 1, text: str = "x", key: str = "", **limits: Any) -> NewJob:
    sender = Sender(owner, key or f"key-of-{owner}", limits=Limits(**limits))
    return replace(new_job(), inputs=[text] * inputs, count=inputs, sender=sender)


async def held_by(queue: JobQueue, owner: str) -> Counter[str]:
    """The owner's unfinished work in all shards, without zeros."""
    total: Counter[str] = Counter()
    for key in queue.everywhere(keys.OWNER, owner):
        found: dict[bytes, bytes] = await queue.redis.hgetall(key)  # type: ignore[misc]
        total += Counter({name.decode(): int(number) for name, number in found.items()})
    return total


async def refused(queue: JobQueue, job: NewJob, **how: Any) -> LimitExceeded:
    before = (await queue.depth())[MODEL]
    with pytest.raises(LimitExceeded) as error:
        await queue.submit(job, **how)
    after = (await queue.depth())[MODEL]
    assert replace(after, oldest_ms=before.oldest_ms) == before, "a refused job leaves nothing behind"
    return error.value


async def test_requests_come_in_a_burst_of_a_seconds_worth_at_most(queue: JobQueue) -> None:
    """A rate of one in 20 minutes: the burst is one request, and the next one is far away."""
    slow = sent_by(requests_per_second=1 / 1200)
    await queue.submit(slow)
    error = await refused(queue, slow)
    assert error.policy == "requests"
    assert 1190 <= error.retry_after <= 1200
    await queue.submit(sent_by("bob", requests_per_second=1 / 1200))  # has his own


async def test_keys_of_one_owner_have_rates_of_their_own(queue: JobQueue) -> None:
    for key in ("k1", "k2"):
        await queue.submit(sent_by(key=key, requests_per_second=0.001))
        await refused(queue, sent_by(key=key, requests_per_second=0.001))


@pytest.mark.parametrize(
    ("limit", "policy"), [("inputs_per_minute", "inputs"), ("tokens_per_minute", "tokens")]
)
async def test_a_minutes_worth_may_come_at_once_and_no_more(queue: JobQueue, limit: str, policy: str) -> None:
    """A text of 30 characters is 33 bytes in a list in msgpack, and 10 tokens with its two special ones."""
    most: dict[str, Any] = {limit: 3 if policy == "inputs" else 30}
    new = sent_by(inputs=1, text="x" * 30, **most)
    for _ in range(3):
        await queue.submit(new)
    error = await refused(queue, new)
    assert error.policy == policy
    assert 1 <= error.retry_after <= 20, "a third of a minute"


async def test_a_refused_job_is_charged_for_nothing(queue: JobQueue) -> None:
    """It fails on its inputs, so its request is not counted either."""
    limits: dict[str, Any] = {"inputs_per_minute": 10, "requests_per_second": 0.001}
    burst: dict[str, Any] = {"inputs_per_minute": 10, "requests_per_second": 2.001}
    await queue.submit(sent_by(inputs=8, key="a", **burst))
    assert (await refused(queue, sent_by(inputs=3, key="a", **burst))).policy == "inputs"
    await queue.submit(sent_by(inputs=2, key="a", **burst))
    await queue.submit(sent_by(inputs=8, key="b", **limits))
    assert (await refused(queue, sent_by(inputs=2, key="b", **limits))).policy == "requests", "longest wait"
    assert await held_by(queue, "ann") == Counter(jobs=3, inputs=18, bytes=(await queue.depth())[MODEL].bytes)


@pytest.mark.parametrize(
    ("limits", "inputs"),
    [
        ({"inputs_per_minute": 10}, 11),
        ({"tokens_per_minute": 10}, 20),
        ({"queued_inputs": 10}, 11),
        ({"queued_bytes": 100}, 100),
    ],
)
async def test_a_job_larger_than_a_whole_limit_is_never_accepted(
    queue: JobQueue, limits: dict[str, Any], inputs: int
) -> None:
    with pytest.raises(JobTooLarge, match="can never be accepted: the limit is"):
        await queue.submit(sent_by(inputs=inputs, **limits))
    assert await held_by(queue, "ann") == Counter()


async def test_a_limit_of_zero_accepts_nothing(queue: JobQueue) -> None:
    await refused(queue, sent_by(requests_per_second=0.0))
    with pytest.raises(JobTooLarge):
        await queue.submit(sent_by(inputs_per_minute=0))


@pytest.mark.parametrize(
    ("limits", "policy"), [({"queued_jobs": 2}, "queued-jobs"), ({"queued_inputs": 5}, "queued-inputs")]
)
async def test_unfinished_work_is_limited_until_it_ends(
    queue: JobQueue, limits: dict[str, Any], policy: str
) -> None:
    new = sent_by(inputs=2, **limits)
    first, _ = await queue.submit(new)
    await queue.submit(new)
    error = await refused(queue, new)
    assert (error.policy, error.retry_after) == (policy, 5)
    await queue.cancel(first.id)
    await queue.submit(new)
    await refused(queue, new)
    assert await run_one(queue)
    await queue.submit(new)
    assert await held_by(queue, "ann") == Counter(jobs=2, inputs=4, bytes=(await queue.depth())[MODEL].bytes)


async def test_what_is_left_is_answered_with_every_submit(queue: JobQueue) -> None:
    told: list[Standing] = []
    new = sent_by(inputs=4, inputs_per_minute=10, queued_jobs=5)
    for left in (6, 2):
        await queue.submit(new, standing=told.extend)
        assert [(each.policy.name, each.left) for each in told] == [
            ("inputs", left),
            ("queued-jobs", 4 if left == 6 else 3),
        ]
        assert 0 < told[0].more_in <= 6_000, "an input is free again every 6 s"
        told.clear()
    await refused(queue, new, standing=told.extend)
    assert [each.left for each in told] == [2, 3]


async def test_a_replay_counts_as_a_request_and_as_nothing_else(queue: JobQueue) -> None:
    limits: dict[str, Any] = {"requests_per_second": 3.001, "inputs_per_minute": 10, "queued_jobs": 1}
    new = sent_by(inputs=8, **limits)
    told: list[Standing] = []
    for replayed in (False, True, True):
        found = await queue.submit(new, idempotency_key="once", standing=told.extend)
        assert found[1] is replayed
    assert [each.left for each in told if each.policy.name == "inputs"] == [2, 2, 2]
    assert [each.left for each in told if each.policy.name == "queued-jobs"] == [0, 0, 0]
    slow = sent_by("bob", requests_per_second=0.001)
    await queue.submit(slow, idempotency_key="bob's")
    assert (await refused(queue, slow, idempotency_key="bob's")).policy == "requests"
    other = replace(sent_by("cy", requests_per_second=0.001), sender=Sender("cy", "k"))
    await queue.submit(other, idempotency_key="mine")
    with pytest.raises(IdempotencyMismatch):
        await queue.submit(replace(other, inputs=["y"]), idempotency_key="mine")


@pytest.mark.parametrize("key", [None, "once"])
async def test_a_submit_that_is_sent_again_is_charged_once(queue: JobQueue, key: str | None) -> None:
    """As redis-py does if the answer was lost: the script accepted the job, and runs again."""
    new = sent_by(inputs=2, requests_per_second=0.001, inputs_per_minute=2, queued_jobs=1)
    job_id = await queue.new_id(new.sender, key)
    first, _ = await queue.submit(new, job_id=job_id, idempotency_key=key)
    again, _ = await queue.submit(new, job_id=job_id, idempotency_key=key)
    assert again.id == first.id
    assert (await held_by(queue, "ann"))["jobs"] == 1


async def test_submits_that_come_together_are_counted_one_by_one(queue: JobQueue) -> None:
    news = [sent_by(key="k", inputs_per_minute=7) for _ in range(20)] + [new_job() for _ in range(5)]
    found = await asyncio.gather(*map(queue.submit, news), return_exceptions=True)
    assert sum(isinstance(each, LimitExceeded) for each in found) == 13
    assert sum(isinstance(each, tuple) for each in found) == 12


async def test_two_processes_and_all_shards_together_allow_exactly_the_limit(
    queue: JobQueue, settings: Settings
) -> None:
    other = JobQueue(queue.redis, settings, [MODEL])
    new = sent_by(inputs_per_minute=30, queued_jobs=1000)
    work = [each.submit(new) for each in (queue, other) for _ in range(40)]
    found = await asyncio.gather(*work, return_exceptions=True)
    assert sum(isinstance(each, tuple) for each in found) == 30
    assert (await held_by(queue, "ann"))["jobs"] == 30
    homes = {(await each.shards.home_of("ann")).number for each in (queue, other)}
    assert len(homes) == 1


async def test_jobs_with_idempotency_keys_have_the_same_limits(queue: JobQueue) -> None:
    """With several shards too, where a key's digest would spread them."""
    new = sent_by(inputs_per_minute=5)
    for number in range(3):
        await queue.submit(new, idempotency_key=f"key {number}")
    for _ in range(2):
        await queue.submit(new)
    for number in range(3, 12):
        await refused(queue, new, idempotency_key=f"key {number}")


async def test_a_senders_idempotency_key_is_found_again_after_its_limits_changed(queue: JobQueue) -> None:
    for owner in ("ann", "bob", "cy", "di"):
        changes: list[dict[str, Any]] = [{}, {"queued_jobs": 5}, {"inputs_per_minute": 50}]
        for limits in changes:
            _, replayed = await queue.submit(sent_by(owner, **limits), idempotency_key=f"of {owner}")
            assert replayed is bool(limits)


async def test_the_anonymous_owner_is_counted_nowhere(queue: JobQueue) -> None:
    await queue.submit(new_job())
    assert await run_one(queue)
    names = {name.decode().partition("{")[0].rstrip(":") for name in await queue.redis.keys("batchline:*")}
    assert not names & {"batchline:owned", "batchline:owner", "batchline:rates"}


async def test_rates_have_a_lifetime(queue: JobQueue) -> None:
    """The key goes when the limits are whole again: then it says the same as none."""
    await queue.submit(sent_by(inputs=5, inputs_per_minute=10, requests_per_second=100))
    [key] = await queue.redis.keys("batchline:rates:*")
    assert 20_000 < await queue.redis.pttl(key) <= 30_000


@pytest.mark.parametrize("kind", [keys.OWNER, keys.RATES])
async def test_foreign_data_under_a_senders_key_is_named_and_others_go_on(
    queue: JobQueue, kind: keys.Key
) -> None:
    names = queue.everywhere(kind, "ann" if kind is keys.OWNER else "key-of-ann")
    for name in names:
        await queue.redis.set(name, "foreign", ex=60)
    found = await asyncio.gather(
        queue.submit(sent_by(inputs_per_minute=5)),
        queue.submit(sent_by("bob", inputs_per_minute=5)),
        queue.submit(new_job()),
        return_exceptions=True,
    )
    assert [isinstance(each, tuple) for each in found] == [False, True, True]
    assert isinstance(found[0], QueueDamaged)
    assert found[0].key in names


async def test_a_named_senders_submit_is_one_script_too(queue: JobQueue) -> None:
    new = sent_by(inputs_per_minute=100, queued_jobs=10)
    for _ in range(2):
        await queue.submit(new)
    async with monitored(queue.redis) as sent:
        await queue.submit(new)
    assert [each.name for each in sent] in (["EVALSHA"], ["EVALSHA"] * 5), "with the count of four shards"


async def test_an_owner_that_fills_the_queue_keeps_nobody_out(redis: ArqRedis, settings: Settings) -> None:
    """A full queue takes jobs of owners that have less than their part, up to twice its limit in all.

    All jobs go to one shard, because an owner has a part of each.
    """
    last = settings.shards - 1
    queue = JobQueue(redis, settings.model_copy(update={"max_queued_jobs": 40}), [MODEL])
    accepted: Counter[str] = Counter()
    with contextlib.suppress(QueueFull):
        for _ in range(100):
            await queue.submit(sent_by("flood"), job_id=new_id(last))
    full = (await queue.depth())[MODEL].unfinished
    assert full <= 40
    for owner in ("ann", "bob", "flood", *(f"owner{i}" for i in range(100))):
        with contextlib.suppress(QueueFull):
            for _ in range(50):
                await queue.submit(sent_by(owner), job_id=new_id(last))
                accepted[owner] += 1
    assert accepted["ann"] >= 2
    assert accepted["bob"] >= 1
    assert accepted["flood"] == 0
    depth = (await queue.depth())[MODEL].unfinished
    assert full < depth <= 80
    with pytest.raises(QueueFull):
        await queue.submit(new_job(), job_id=new_id(last))
    await queue.close()
