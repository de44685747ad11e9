"""What a finished job takes in Redis: near the truth, bounded in cost, and nothing where nothing is known."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.records import Header, encode_head, summary
from jobs.ledger.shards import Shards
from jobs.monitoring import footprints
from jobs.monitoring.footprints import Footprint
from jobs.schema import NewJob
from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.store import Server
from tests import valkey
from tests.ledger import JobQueue, run_one

MODELS = ("sentiment", "other")


def new_job(model: str = "sentiment", **fields: Any) -> NewJob:
    job = NewJob(model, ["A wonderful film."], 1, {}, "normal", None)
    return msgspec.structs.replace(job, **fields)


async def ended(queue: JobQueue, **fields: Any) -> str:
    job, _ = await queue.submit(new_job(**fields))
    await run_one(queue, model=job.model)
    return job.id


@pytest.fixture(params=[1, 3])
async def queue(
    redis: ArqRedis, settings: Settings, request: pytest.FixtureRequest
) -> AsyncIterator[JobQueue]:
    queue = JobQueue(redis, settings.model_copy(update={"shards": request.param}), MODELS)
    yield queue
    await forget(queue)


async def forget(queue: JobQueue) -> None:
    """Deletes what the shards keep for ever."""
    for shard in queue.shards:
        await queue.redis.delete(shard.key(keys.RECENT))


@pytest.fixture
async def alone(settings: Settings, tmp_path: Path) -> AsyncIterator[JobQueue]:
    """A queue on a server that keeps nothing else and frees nothing meanwhile."""
    with valkey.running(tmp_path) as server:
        redis = connect(settings.model_copy(update={"redis_url": server.url()}))
        yield JobQueue(redis, settings, MODELS)
        await redis.aclose(close_connection_pool=True)


@pytest.mark.parametrize("kept", [False, True])
async def test_the_bytes_are_those_that_the_server_needs(alone: JobQueue, kept: bool) -> None:
    async def used() -> int:
        return int((await alone.redis.info("memory"))["used_memory"])

    for _ in range(30):  # what exists once: scripts, listing
        await ended(alone, keep_inputs=kept)
    before = await used()
    for _ in range(1_000):
        await ended(alone, keep_inputs=kept)
    real = (await used() - before) / 1_000  # with a member of the listing, up to 120 bytes
    found = (await footprints.read(alone.shards))["sentiment"]
    assert real / 2 < found.bytes < real * 1.3
    assert found.bytes < 600


async def test_each_model_and_lifetime_has_its_share(queue: JobQueue) -> None:
    for _ in range(4):
        await ended(queue, result_ttl=60.0)
        await ended(queue, result_ttl=180.0)
        await ended(queue, model="other", keep_inputs=True)
    await queue.submit(new_job())  # it has not ended
    found = await footprints.read(queue.shards)
    assert found.keys() == set(MODELS)
    assert found["sentiment"].seconds == pytest.approx(120, abs=0.5)
    assert found["other"].seconds == pytest.approx(3_600, abs=0.5)
    assert found["other"].bytes > found["sentiment"].bytes, "the kept inputs count"


async def test_without_finished_jobs_there_is_nothing(queue: JobQueue) -> None:
    assert await footprints.read(queue.shards) == {}
    await queue.submit(new_job())
    assert await footprints.read(queue.shards) == {}


async def test_the_cost_does_not_grow_with_the_jobs_and_shards(redis: ArqRedis, settings: Settings) -> None:
    many = settings.model_copy(update={"shards": 40})
    queue = JobQueue(redis, many, MODELS)
    for _ in range(300):
        await ended(queue)
    before = await redis.info("commandstats")
    await footprints.read(queue.shards)
    after = await redis.info("commandstats")

    def calls(name: str) -> int:
        return int(after[name]["calls"] - before.get(name, {"calls": 0})["calls"])

    assert 0 < calls("cmdstat_zrevrange") <= footprints.MOST_SHARDS
    assert 0 < calls("cmdstat_getrange") <= footprints.EXAMINED
    assert (
        0
        < calls("cmdstat_memory|usage")
        <= len(footprints.KEPT) * footprints.SAMPLED * footprints.MOST_SHARDS
    )
    await forget(queue)


async def test_another_programs_data_is_left_out(queue: JobQueue, redis: ArqRedis) -> None:
    await ended(queue)
    broken = await ended(queue)
    await redis.delete(key := await queue.key(keys.RESULT, broken))
    await redis.lpush(key, "x")  # type: ignore[misc]
    nonsense = await ended(queue)
    await redis.set(await queue.key(keys.RESULT, nonsense), b"\xc1", ex=60)
    found = await footprints.read(queue.shards)
    assert found["sentiment"].seconds == pytest.approx(3_600, abs=0.5)
    for shard in queue.shards:
        await redis.set(shard.key(keys.RECENT), "x")
    assert await footprints.read(queue.shards) == {}
    await redis.delete(key)


@pytest.mark.parametrize("forbidden", ["-memory|usage", "-memory"])
async def test_where_the_command_is_forbidden_there_is_nothing(
    queue: JobQueue, redis: ArqRedis, forbidden: str
) -> None:
    await ended(queue)
    assert await footprints.read(queue.shards)
    user = "without-memory"
    await redis.acl_setuser(user, enabled=True, nopass=True, keys=["*"], commands=["+@all", forbidden])
    try:
        url = queue.settings.redis_url.replace("://", f"://{user}:any@")
        limited = connect(queue.settings.model_copy(update={"redis_url": url}))
        assert await footprints.read(Shards(Server(limited), queue.settings, MODELS)) == {}
        await limited.aclose(close_connection_pool=True)
    finally:
        await redis.acl_deluser(user)


def test_the_start_of_a_record_names_its_model() -> None:
    start = b"\xc1" + (1_700_000_000_000).to_bytes(8)
    for model in ("a", "sentiment", "m" * 31, "m" * 32, "org/" + "m" * 120):
        header = Header(model=model, state="s", n=1, attempts=1, created=1, started=2)
        record = start + encode_head(header) + b'[{"output":1}]'
        assert summary(record) == (model, 1_700_000_000_000)
        assert summary(record[: footprints.HEAD]) == (model, 1_700_000_000_000)
    assert [summary(data) for data in (b"", b"\xc1", b"\x8fxxxxxxxxxxxxxxxxx", start)] == [None] * 4


def test_the_figures_fit_together() -> None:
    footprint = Footprint(bytes=300.0, seconds=3_600.0)
    assert footprint.together(10) == 10_800_000
    assert footprint.rate_in(footprint.together(10)) == 10
    assert footprint.rate_in(-1) == 0
