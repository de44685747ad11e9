"""The history on a real Valkey: one writer of many adds a sample, and it counts what was done meanwhile."""

import asyncio
from typing import Any

import msgspec
import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.shard import Depth
from jobs.monitoring.histograms import LATENCIES
from jobs.monitoring.history import EVERY, MAX_GAP, MAX_SAMPLES, History, Moment, Sample, Series, done_since
from jobs.monitoring.roster import Roster
from jobs.monitoring.work import Work
from jobs.settings import Settings
from jobs.store.lua import script
from tests.jobs.ledger.test_queue import new_job
from tests.ledger import MODEL, JobQueue, first_shard, heartbeat
from tests.waiting import until

BUCKETS = len(LATENCIES) + 1


def hist(**counts: int) -> list[int]:
    """A histogram with so many in the buckets `b0`, `b1`, ..."""
    return [counts.get(f"b{i}", 0) for i in range(BUCKETS)]


async def next_turn(redis: ArqRedis) -> None:
    """As if EVERY seconds had gone by; in truth a millisecond has."""
    at = await redis.hget(keys.SAMPLED.of(MODEL), "at")  # type: ignore[misc]

    async def later() -> bool:
        seconds, micros = await redis.time()
        return bool(seconds * 1000 + micros // 1000 > int(at or 0))

    await until(later)
    await redis.delete(keys.SAMPLING.of(MODEL))


async def test_of_many_writers_one_adds_a_sample(redis: ArqRedis, queue: JobQueue) -> None:
    writers = [History(queue.shards) for _ in range(8)]
    assert sum(await asyncio.gather(*(writer.record() for writer in writers))) == 1
    assert 0 < await redis.pttl(keys.SAMPLING.of(MODEL)) < EVERY * 1000
    await next_turn(redis)
    assert sum(await asyncio.gather(*(writer.record() for writer in writers))) == 1
    series = (await writers[0].read())[MODEL]
    assert len(series.moments) == 2
    assert series.moments[0].seconds == 0
    assert series.moments[1].seconds == series.moments[1].at - series.moments[0].at >= 0


async def test_a_sample_counts_what_was_done_since_the_one_before(redis: ArqRedis, queue: JobQueue) -> None:
    history, roster = History(queue.shards), Roster(first_shard(redis))
    done: dict[str, Any] = {
        "jobs": {"succeeded": 10, "failed": 2},
        "items": 20,
        "batches": 5,
        "tokens": 90,
        "padded_tokens": 100,
    }
    await roster.write(heartbeat("a", **done, queued=hist(b3=12)))
    await history.record()
    more: dict[str, Any] = {
        "jobs": {"succeeded": 17, "failed": 3},
        "items": 60,
        "batches": 10,
        "tokens": 240,
        "padded_tokens": 300,
    }
    await roster.write(heartbeat("a", **more, queued=hist(b3=12, b5=8)))
    await roster.write(heartbeat("other", "shapes", items=1_000))
    await next_turn(redis)
    await history.record()

    first, second = (await history.read())[MODEL].moments
    assert first.sample.work == Work(), "before the first sample nothing is known"
    assert (first.sample.workers, second.sample.workers) == (1, 1)
    work = second.sample.work
    assert (work.jobs, work.failed, work.items, work.batch_size, work.padding) == (8, 1, 40, 8.0, 0.25)
    assert work.queued == hist(b5=8)

    await roster.write(heartbeat("a", **{**more, "items": 63}, queued=hist(b3=12, b5=8)))
    series = (await history.read())[MODEL]
    lately, seconds = series.lately(60, [beat for beat in await roster.read() if beat.model == MODEL])
    assert lately.items == 43, "the second sample's, and what came after it"
    assert seconds == pytest.approx(series.now - first.at)


def test_nothing_was_done_while_all_processes_were_away() -> None:
    """Samples come again after ten minutes: what was done since must not be spread over them."""

    def series(now: float, *moments: tuple[float, float, int]) -> Series:
        depth = Depth(0, 0, 0, 0)
        return Series(now, [Moment(at, s, Sample(depth, 1, Work(items=n))) for at, s, n in moments], {})

    steady = series(1_062.0, *((1_000.0 + 5 * i, 5.0, 50) for i in range(13)))
    work, seconds = steady.lately(60, [])
    assert work.items / seconds == pytest.approx(10, rel=0.1)
    back = series(1_002.0, (395.0, 0.0, 0), (400.0, 5.0, 7), (1_000.0, MAX_GAP, 600))
    assert back.lately(60, []) == (Work(items=600), 60.0)
    [*_, this] = back.with_now(Depth(0, 0, 0, 0), []).moments
    assert this.sample.work.items / this.seconds == pytest.approx(600 / (MAX_GAP + 2))
    gone, new = series(1_002.0, (395.0, 0.0, 0), (400.0, 5.0, 7)), heartbeat("new", started=1_000.0, items=60)
    assert gone.lately(60, []) == (Work(), 60.0)
    work, seconds = gone.lately(60, [new])
    assert (work.items, seconds) == (60, 60.0)
    this = gone.with_now(Depth(0, 0, 0, 0), [new]).moments[-1]
    assert (this.sample.work.items, this.seconds) == (60, MAX_GAP)
    young = series(1_002.0, (990.0, 0.0, 0), (995.0, 5.0, 12))
    assert young.lately(60, []) == (Work(items=12), 12.0)


def test_workers_that_work_on_while_nobody_samples_are_told_of_as_they_are() -> None:
    """As when Redis is full: what they did is spread over all that time."""
    worker = heartbeat("a", started=0.0, items=1_000)
    seen = {"a": Work(items=200)}
    moments = [Moment(at, 5.0, Sample(Depth(0, 0, 0, 0), 1, Work(items=50))) for at in (915.0, 920.0)]
    full = Series(1_000.0, moments, seen)
    work, seconds = full.lately(60, [worker])
    assert work.items / seconds == pytest.approx(10)
    this = full.with_now(Depth(0, 0, 0, 0), [worker]).moments[-1]
    assert this.sample.work.items / this.seconds == pytest.approx(10)


@pytest.mark.parametrize("worked_on", [True, False])
async def test_how_long_a_sample_after_a_silence_is(
    redis: ArqRedis, queue: JobQueue, worked_on: bool
) -> None:
    history, roster = History(queue.shards), Roster(first_shard(redis))
    await roster.write(heartbeat("a"))
    await history.record()
    [entry] = await redis.lrange(keys.HISTORY.of(MODEL), 0, -1)  # type: ignore[misc]
    at, _, data = entry.partition(b" ")
    earlier: Any = b"%d %b" % (int(at) - 600_000, data)
    await redis.lset(keys.HISTORY.of(MODEL), 0, earlier)  # type: ignore[misc]
    if not worked_on:
        await roster.remove("a")
        await roster.write(heartbeat("b"))
    await next_turn(redis)
    await history.record()
    _, last = (await history.read())[MODEL].moments
    assert last.seconds == (pytest.approx(600, abs=5) if worked_on else MAX_GAP)


async def test_another_versions_histograms_are_left_out(redis: ArqRedis) -> None:
    """Its buckets have other bounds."""
    roster = Roster(first_shard(redis))
    old = heartbeat("old", items=3)
    old.queued = [1] * 18
    await roster.write(old)
    [beat] = await roster.read()
    assert (beat.items, beat.queued, Work.of(beat).queued) == (3, [], [])
    assert msgspec.json.decode(b"[1,0,2,1,0,0,[1,2,3]]", type=Work).queued == []


async def test_this_moment_is_the_last_point(redis: ArqRedis, queue: JobQueue) -> None:
    """Its work covers the newest sample too: a heartbeat's whole second in a tenth of one would be a lie."""
    history, roster = History(queue.shards), Roster(first_shard(redis))
    depth = Depth(3, 0, 1, 0)
    empty = (await history.read())[MODEL].with_now(depth, [])
    assert [moment.sample.depth for moment in empty.moments] == [depth]
    await roster.write(heartbeat("a", items=10))
    await history.record()
    await roster.write(heartbeat("a", items=50))
    await next_turn(redis)
    await history.record()
    await roster.write(heartbeat("a", items=57))
    series = (await history.read())[MODEL]
    drawn = series.with_now(depth, await roster.read())
    first, _, last = drawn.moments
    assert drawn.moments[:2] == series.moments
    assert (last.at, last.sample.depth, last.sample.work.items) == (series.now, depth, 47)
    assert last.seconds == pytest.approx(series.now - first.at)


async def test_another_faster_writer_is_not_counted_twice(
    redis: ArqRedis, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stalls between its look and its write finds the other's sample there."""
    history, fast = History(queue.shards), History(queue.shards)
    await history.record()
    await next_turn(redis)
    add = script("sample").run

    async def stall(*arguments: Any) -> Any:
        monkeypatch.undo()
        await next_turn(redis)
        assert await fast.record() == 1
        return await add(*arguments)

    monkeypatch.setattr(script("sample"), "run", stall)
    assert await history.record() == 0
    assert len((await fast.read())[MODEL].moments) == 2


async def test_the_history_is_capped_and_has_a_lifetime(redis: ArqRedis, queue: JobQueue) -> None:
    history = History(queue.shards)
    await history.record()
    [entry] = await redis.lrange(keys.HISTORY.of(MODEL), 0, -1)  # type: ignore[misc]
    await redis.rpush(keys.HISTORY.of(MODEL), *[entry] * (MAX_SAMPLES + 5), b"1 of another version")  # type: ignore[misc]
    await next_turn(redis)
    await history.record()
    assert len(await redis.lrange(keys.HISTORY.of(MODEL), 0, -1)) == MAX_SAMPLES  # type: ignore[misc]
    assert len((await history.read())[MODEL].moments) == MAX_SAMPLES - 1, "what cannot be read is left out"
    for key in (keys.HISTORY, keys.SAMPLED):
        assert 0 < await redis.pttl(key.of(MODEL)) <= 20 * 60_000


async def test_a_full_or_absent_redis_does_not_stop_the_writer(settings: Settings, redis: ArqRedis) -> None:
    queue = JobQueue(redis, settings, [MODEL])
    await redis.config_set("maxmemory", 1)
    try:
        assert await History(queue.shards).record() == 0
    finally:
        await redis.config_set("maxmemory", 0)
    assert await History(queue.shards).record() == 1


async def test_waiting_jobs_are_read_without_the_work(
    redis: ArqRedis, settings: Settings, queue: JobQueue
) -> None:
    history = History(JobQueue(redis, settings, [MODEL, "other"]).shards)
    await queue.submit(new_job())
    await history.record()
    await redis.rpush(keys.HISTORY.of(MODEL), b"1 of another version")  # type: ignore[misc]
    await queue.submit(new_job())
    await next_turn(redis)
    await history.record()
    moments = (await history.read())[MODEL].moments
    waiting = await history.waiting()
    assert waiting[MODEL] == [(moments[0].at, 1), (moments[1].at, 2)]
    assert [jobs for _, jobs in waiting["other"]] == [0]


def test_a_worker_that_comes_back_from_a_silence_is_not_counted_anew() -> None:
    old, new = heartbeat("old", started=1_000.0, items=500), heartbeat("new", started=2_000.0, items=7)
    assert done_since({}, [old, new], since=1_999.0).items == 7
