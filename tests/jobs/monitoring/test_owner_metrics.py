"""Counters of owners for Prometheus: bounded in number, the same from every process, and they never fall."""

import httpx
import pytest
from arq.connections import ArqRedis
from prometheus_client.parser import text_string_to_metric_families

from jobs.ledger import keys
from jobs.monitoring.owner_metrics import OTHERS, OwnerTotals, Totals
from jobs.monitoring.usage import KEPT_HOURS, Usage, Used
from jobs.owners import NAME
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.jobs.ledger.test_endings import finished, put
from tests.ledger import COMPUTE_US, MODEL, TOKENS, JobQueue

NUMBER = 4
MOST = 2


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"shards": NUMBER, "metrics_owners": MOST})


@pytest.fixture
def totals(queue: JobQueue) -> OwnerTotals:
    return OwnerTotals(queue.shards)


async def run(queue: JobQueue, *owners: str) -> None:
    """A job of each owner, in a shard each."""
    for shard, owner in enumerate(owners):
        await finished(queue, await put(queue, shard % NUMBER, owner=owner))


def jobs(found: Totals) -> dict[str, int]:
    return {owner: used.succeeded for (owner, _), used in found.items()}


async def test_counters_begin_at_0_with_the_first_scrape(queue: JobQueue, totals: OwnerTotals) -> None:
    assert await totals.read() == {}, "there are no owners"
    await run(queue, "alice", "alice")
    assert await totals.read() == {("alice", MODEL): Used(), (OTHERS, MODEL): Used()}
    await run(queue, "alice", "alice", "bob")
    assert jobs(await totals.read()) == {"alice": 2, "bob": 0, OTHERS: 1}
    await run(queue, "alice", "bob", "bob")
    assert jobs(await totals.read()) == {"alice": 3, "bob": 2, OTHERS: 1}


async def test_owners_beyond_the_limit_are_added_up(queue: JobQueue, totals: OwnerTotals) -> None:
    await run(queue, "alice", "bob", "carol", "dave")
    assert len(await totals.read()) == MOST + 1
    await run(queue, *["alice", "bob", "carol", "dave"] * 4)
    found = jobs(await OwnerTotals(queue.shards).read())
    assert found.pop(OTHERS) == 8
    assert list(found.values()) == [4, 4]


async def test_nobody_has_the_name_of_the_others() -> None:
    assert NAME.fullmatch("alice")
    assert not NAME.fullmatch(OTHERS)


async def test_no_counter_ever_falls(queue: JobQueue, totals: OwnerTotals) -> None:
    """Whoever comes and goes; a counter that ends is no fall."""
    now, before = await Usage(queue.shards).hour(), dict[str, int]()
    owners = ["alice", "bob", "carol", "dave", "eve"]
    for turn in range(8):
        await run(queue, *owners[turn % 3 :], *owners[: turn % 5])
        if turn == 4:  # those with counters of their own were last used long ago
            for index in queue.everywhere(keys.USAGE_OWNERS):
                for owner in before:
                    await queue.redis.zadd(index, {owner: now - KEPT_HOURS - 1}, xx=True)
            await run(queue, *["carol", "dave"] * 4)  # which forgets them
        found = jobs(await totals.read())
        for owner, count in found.items():
            assert count >= before.get(owner, 0), (turn, owner)
        assert found[OTHERS] >= before.get(OTHERS, 0)
        before = found
    assert len(before) == MOST + 1
    assert before[OTHERS] > 0


async def test_an_owner_without_jobs_for_90_days_makes_room(
    queue: JobQueue, totals: OwnerTotals, redis: ArqRedis
) -> None:
    await run(queue, "alice", "bob")
    await totals.read()
    await run(queue, "carol", "carol", "carol", "carol")
    assert set(jobs(await totals.read())) == {"alice", "bob", OTHERS}
    for index in queue.everywhere(keys.USAGE_OWNERS):
        await redis.zrem(index, "alice")
    assert jobs(await totals.read()) == {"bob": 0, "carol": 0, OTHERS: 4}
    assert await redis.exists(*queue.everywhere(keys.USAGE_TOTALS, "alice")) == 0
    await run(queue, "alice", "carol")
    assert jobs(await totals.read()) == {"bob": 0, "carol": 1, OTHERS: 5}


async def test_a_lower_limit_takes_counters_away(
    queue: JobQueue, totals: OwnerTotals, settings: Settings
) -> None:
    await run(queue, "alice", "bob")
    await totals.read()
    queue.shards.settings = settings.model_copy(update={"metrics_owners": 1})
    lower = OwnerTotals(queue.shards)
    [kept] = set(jobs(await lower.read())) - {OTHERS}
    await run(queue, "alice", "bob")
    assert jobs(await lower.read()) == {kept: 1, OTHERS: 1}


async def test_without_scrapes_there_are_no_totals(queue: JobQueue, redis: ArqRedis) -> None:
    await run(queue, "alice", "bob")
    assert await redis.keys(keys.USAGE_TOTALS.of("*")) == []
    queue.shards.settings = queue.settings.model_copy(update={"metrics_owners": 0})
    assert await OwnerTotals(queue.shards).read() == {}
    assert await redis.keys(keys.USAGE_TOTALS.of("*")) == []


async def test_a_shard_that_does_not_answer_shows_no_lower_totals(
    queue: JobQueue, totals: OwnerTotals
) -> None:
    await run(queue, "alice", "alice", "alice", "alice")
    await totals.read()
    await run(queue, "alice", "alice", "alice", "alice")
    queue.shards[2].available = False
    assert await totals.read() == {}
    queue.shards[2].available = True
    assert jobs(await totals.read())["alice"] == 4


async def test_another_programs_data_does_not_stop_a_scrape(
    settings: Settings, queue: JobQueue, redis: ArqRedis
) -> None:
    await run(queue, "alice")
    foreign = [queue.shards[1].key(keys.USAGE_TOTALS, "alice"), queue.shards[0].key(keys.METERED_OWNERS)]
    async with mounted(settings) as (client, _):
        for key in foreign:
            await redis.set(key, "x")
            assert (await client.get("/metrics")).status_code == 200
            await redis.delete(key)
        index = queue.shards[1].key(keys.USAGE_OWNERS)
        await redis.delete(index)
        await redis.set(index, "x")
        assert "batchline_redis_up 1.0" in (await client.get("/metrics")).text
        await redis.delete(index)


async def test_a_scrape_has_them(settings: Settings, queue: JobQueue) -> None:
    async with mounted(settings) as (client, _):
        await run(queue, "alice")
        assert value(await client.get("/metrics"), "batchline_owner_jobs_total", state="expired") == 0
        await run(queue, "alice", "alice")
        scraped = await client.get("/metrics")
    assert value(scraped, "batchline_owner_jobs_total", state="succeeded") == 2
    assert value(scraped, "batchline_owner_inputs_total") == 2
    assert value(scraped, "batchline_owner_tokens_total") == 2 * TOKENS
    assert value(scraped, "batchline_owner_compute_seconds_total") == 2 * COMPUTE_US / 1e6


def value(scraped: httpx.Response, name: str, **labels: str) -> float:
    labels |= {"owner": "alice", "model": MODEL}
    [found] = [
        sample.value
        for family in text_string_to_metric_families(scraped.text)
        for sample in family.samples
        if (sample.name, sample.labels) == (name, labels)
    ]
    return found
