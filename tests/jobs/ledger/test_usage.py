"""What the jobs of named owners used, as the scripts that end them count it: by owner, model and hour."""

import asyncio
from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.errors import InvalidRequest
from jobs.ledger import keys
from jobs.ledger.leasing import Progress
from jobs.monitoring.usage import KEPT_HOURS, MOST_READS, Place, Usage, Used
from jobs.owners import Sender
from jobs.schema import NewJob
from jobs.settings import Settings
from tests.jobs.ledger import test_endings
from tests.jobs.ledger.test_endings import End, claim, every_way, finished, put
from tests.ledger import COMPUTE_US, MODEL, TOKENS, JobQueue, ending

NUMBER = 4
MOST = 11
"""Most commands that a named owner costs, for all jobs that end at once; three more with metrics."""

DAY_MS = 86_400_000

ALICE = Sender("alice")

ANSWERED = Used(succeeded=1, inputs=1, tokens=TOKENS, compute_us=COMPUTE_US)
"""A job of one input that `finished` ends."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"shards": NUMBER})


@pytest.fixture
def usage(queue: JobQueue) -> Usage:
    return Usage(queue.shards)


def of_inputs(count: int) -> NewJob:
    return NewJob(MODEL, ["x"] * count, count, {}, "normal", None, ALICE)


async def used(usage: Usage, owner: str = "alice", model: str = MODEL) -> Used:
    """What the owner used in the last two hours: a test may run across the end of one."""
    now = await usage.hour()
    found = await usage.read([owner], now - 1, now + 1)
    assert {place.model for place in found} <= {model}
    return sum(found.values(), Used())


@every_way
@pytest.mark.parametrize("shard", [0, 3])
async def test_each_way_of_ending_counts_once(queue: JobQueue, usage: Usage, end: End, shard: int) -> None:
    """The ways themselves send each script twice."""
    state = await end(queue, await put(queue, shard, owner="alice"))
    expected = ANSWERED if end is finished else Used(**{state: 1})
    assert await used(usage) == expected
    assert await usage.owners() == ["alice"]


@every_way
async def test_the_anonymous_owner_leaves_no_trace(queue: JobQueue, redis: ArqRedis, end: End) -> None:
    await end(queue, await put(queue, 3))
    assert await redis.keys("batchline:usage*") == []


async def test_the_anonymous_owner_costs_no_command(queue: JobQueue, redis: ArqRedis) -> None:
    """A job of a named owner is written with a few more commands; `terms` are empty without an owner."""

    async def commands(**envelope: Any) -> int:
        claimed = await claim(queue, await put(queue, 0, **envelope))
        end = ending(claimed)
        before = await calls(redis)
        await queue.finish(MODEL, [end])
        return await calls(redis) - before

    await commands()  # the server now has every script
    anonymous, named = await commands(), await commands(owner="alice")
    assert anonymous + 4 < named <= anonymous + MOST


async def calls(redis: ArqRedis) -> int:
    """Commands that the server has run, also from scripts."""
    statistics = await redis.info("commandstats")
    return sum(each["calls"] for name, each in statistics.items() if name != "cmdstat_info")


async def test_a_batch_is_counted_with_as_many_commands_as_one_job(queue: JobQueue, redis: ArqRedis) -> None:
    ids = [await put(queue, 0, owner="alice") for _ in range(32)]
    claimed, _ = await queue.claim(MODEL, 32)
    assert {job.id for job in claimed} == set(ids)
    await redis.config_resetstat()
    assert await queue.finish(MODEL, [ending(job) for job in claimed]) == set()
    statistics = await redis.info("commandstats")
    assert statistics["cmdstat_hset"]["calls"] == 1
    assert (await used(Usage(queue.shards))).succeeded == 32


async def test_failed_inputs_are_counted(queue: JobQueue, usage: Usage) -> None:
    error: dict[str, Any] = {"error": {"type": "t", "title": "t", "detail": "bad"}}
    for results in ([{"output": 1}, error, error], [error, error]):
        await queue.submit(of_inputs(len(results)))
        [claimed], _ = await queue.claim(MODEL, 1)
        assert await queue.finish(MODEL, [ending(claimed, results)]) == set()
    assert await used(usage) == Used(
        succeeded=1, failed=1, inputs=5, failed_inputs=4, tokens=5 * TOKENS, compute_us=2 * COMPUTE_US
    )


async def test_all_shards_are_summed(queue: JobQueue, usage: Usage) -> None:
    owners = ("alice", "bob@example.org", "alice", "c")
    for shard, owner in enumerate(owners):
        await finished(queue, await put(queue, shard, owner=owner))
    assert await used(usage) == ANSWERED + ANSWERED
    assert await used(usage, "bob@example.org") == ANSWERED
    assert await usage.owners() == ["alice", "bob@example.org", "c"]
    assert await used(usage, "nobody") == Used()


async def test_a_cancelled_job_has_what_its_worker_had_noted(queue: JobQueue, usage: Usage) -> None:
    """Otherwise results that were read while the job ran would be free."""
    await queue.submit(of_inputs(4))
    [claimed], _ = await queue.claim(MODEL, 1)
    await queue.start([claimed])
    outcomes = [b'{"index":%d,"output":1}' % index for index in range(3)]
    note = Progress(claimed.id, claimed.token, 0, 2, 1, outcomes, (40, 7_000))
    assert await queue.note([note]) == set()
    assert (await queue.read(claimed.id)).counts.succeeded == 2
    assert await queue._claims(claimed.shard).spent(claimed.id) == (40, 7_000)
    await queue.cancel(claimed.id)
    assert await used(usage) == Used(cancelled=1, inputs=3, failed_inputs=1, tokens=40, compute_us=7_000)


async def test_a_job_counts_in_the_hour_in_which_it_ended(
    queue: JobQueue, usage: Usage, redis: ArqRedis
) -> None:
    """The hour is that of the server's clock, which no test can change: the written hour is renamed."""
    await finished(queue, await put(queue, 1, owner="alice"))
    [key] = await redis.keys(keys.USAGE.of("*"))
    name, _, hour = key.decode().rpartition(":")
    earlier = int(hour) - 30
    await redis.rename(key, f"{name}:{earlier}")
    await finished(queue, await put(queue, 1, owner="alice"))
    now = await usage.hour()
    assert int(hour) in (now, now - 1)
    found = await usage.read(["alice"], now - 40, now + 1)
    assert found.pop(Place("alice", MODEL, earlier)) == ANSWERED
    assert list(found.values()) == [ANSWERED]
    assert await usage.read(["alice"], earlier + 1, now + 1) == found, "the first hour is included"
    assert await usage.read(["alice"], earlier - 5, earlier) == {}, "the last one is not"


async def test_counters_and_owners_are_kept_for_90_days(
    queue: JobQueue, usage: Usage, redis: ArqRedis
) -> None:
    index = queue.shards[1].key(keys.USAGE_OWNERS)
    now = await usage.hour()
    await redis.zadd(index, {"gone": now - KEPT_HOURS - 1, "kept": now - KEPT_HOURS + 2})
    await finished(queue, await put(queue, 1, owner="alice"))
    assert await usage.owners() == ["alice", "kept"]
    assert await usage.owners(now - 1) == ["alice"]
    for key in await redis.keys("batchline:usage*"):
        assert 89 * DAY_MS < await redis.pttl(key) <= 90 * DAY_MS, key


async def test_another_programs_data_keeps_no_job_from_ending(
    queue: JobQueue, usage: Usage, redis: ArqRedis
) -> None:
    shard, now = queue.shards[1], await usage.hour()
    hours = [shard.key(keys.USAGE, f"alice:{hour}") for hour in (now, now + 1)]
    foreign = [*hours, shard.key(keys.USAGE_OWNERS), shard.key(keys.USAGE_TOTALS, "alice")]
    await redis.mset(dict.fromkeys(foreign, "foreign"))
    job_id = await put(queue, 1, owner="alice")
    assert await finished(queue, job_id) == (await queue.read(job_id)).status
    assert await redis.mget(foreign) == [b"foreign"] * len(foreign)
    assert await used(usage) == Used()
    await redis.delete(*foreign)


@pytest.mark.parametrize("owner", [7, {"a": 1}, ["alice"], True])
async def test_an_owner_that_is_no_text_is_ignored(queue: JobQueue, redis: ArqRedis, owner: Any) -> None:
    for end in (test_endings.finished, test_endings.cancelled):
        await end(queue, await put(queue, 0, owner=owner))
    assert await redis.keys("batchline:usage*") == []


async def test_a_read_is_bounded(queue: JobQueue, usage: Usage) -> None:
    now = await usage.hour()
    await usage.read(["alice"], now - KEPT_HOURS, now)
    many = [str(owner) for owner in range(MOST_READS // NUMBER // 24 + 1)]
    with pytest.raises(InvalidRequest, match="are too many for one request"):
        await usage.read(many, now - 24, now)


async def test_endings_at_the_same_time_lose_no_count(queue: JobQueue, usage: Usage) -> None:
    ids = [await put(queue, shard, owner="alice") for shard in range(NUMBER) for _ in range(5)]
    await asyncio.gather(*(queue.cancel(job_id) for job_id in ids * 2))
    assert await used(usage) == Used(cancelled=20)
