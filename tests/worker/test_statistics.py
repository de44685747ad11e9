"""What a worker counts of itself."""

from msgspec.structs import replace

from jobs.ledger.keys import queue_name
from jobs.monitoring.histograms import BATCH_ITEMS, LATENCIES, PADDING, Counts
from jobs.monitoring.roster import Roster
from jobs.schema import JobState
from tests.jobs.ledger.test_queue import new_job
from tests.ledger import JobQueue, first_shard
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving
from worker.engine.protocol import NO_BUDGET, Cost, Failure, Loaded
from worker.statistics import Times, WorkerStatistics


def filled(counts: Counts, bounds: tuple[float, ...]) -> dict[float, int]:
    """The buckets that hold something, by their bound."""
    return {bound: n for bound, n in zip((*bounds, float("inf")), counts, strict=True) if n}


def test_a_job_that_ran_is_in_three_histograms() -> None:
    statistics = WorkerStatistics("m")
    statistics.ended(JobState.SUCCEEDED, Times(0.3, 0.02, 0.4))
    statistics.ended(JobState.FAILED, Times(9_999.0, 0.025, 9_999.0))
    beat = statistics.beat
    assert filled(beat.queued, LATENCIES) == {0.35: 1, float("inf"): 1}
    assert filled(beat.compute, LATENCIES) == {0.02: 1, 0.035: 1}
    assert filled(beat.total, LATENCIES) == {0.5: 1, float("inf"): 1}
    assert (beat.queued_sum, beat.compute_sum, beat.total_sum) == (9_999.3, 0.045, 9_999.4)
    assert beat.jobs == {"succeeded": 1, "failed": 1}


def test_rows_that_share_their_steps_are_one_batch() -> None:
    statistics = WorkerStatistics("m")
    for _ in range(10):
        statistics.ran(1, 0, 0, 0.1, 0.0, batches=1 / 5)
    statistics.ran(1, 0, 0, 0.1, 0.0, batches=1 / 2)
    beat = statistics.beat
    assert (beat.items, beat.batches, filled(beat.batch_items, BATCH_ITEMS)) == (11, 2, {8: 2})


def test_a_job_that_never_ran_has_only_an_end() -> None:
    statistics = WorkerStatistics("m")
    statistics.ended(JobState.EXPIRED, Times(None, None, 2.0))
    beat = statistics.beat
    assert (sum(beat.queued), sum(beat.compute), filled(beat.total, LATENCIES)) == (0, 0, {2.5: 1})


def test_failed_inputs_are_counted_by_reason() -> None:
    statistics = WorkerStatistics("m")
    bad, dead = Failure("input-failed", "bad"), Failure("engine-died", "SIGSEGV")
    statistics.answered("one", 10, [bad] * 8 + [dead], 1.0)
    statistics.answered("two", 5, (), 2.0)
    statistics.answered("three", 1, [bad], 3.0)
    beat = statistics.beat
    assert (beat.inputs, beat.inputs_failed) == (16, {"input-failed": 9, "engine-died": 1})
    assert [(each.kind, each.detail, each.inputs, each.job) for each in beat.failures] == [
        ("engine-died", "SIGSEGV", 1, "one"),
        ("input-failed", "bad", 9, "three"),
    ]


async def test_a_worker_counts_what_became_of_its_jobs_inputs(queue: JobQueue, serving: Serving) -> None:
    """Also those of a job that never ran; not those of one that expired."""
    mixed = replace(new_job(), inputs=["fine", "raise", "raise"], count=3)
    await queue.submit(mixed)
    stock = await queue.redis.enqueue_job("infer", 7, _queue_name=queue_name(MODEL))
    assert stock
    async with serving() as worker:

        async def counted() -> bool:
            return worker.statistics.beat.inputs == 4

        await until(counted)
    assert worker.statistics.beat.inputs_failed == {"input-failed": 2, "invalid-request": 1}
    assert {each.kind: each.job for each in worker.statistics.beat.failures}[
        "invalid-request"
    ] == stock.job_id


def test_batches_are_counted_by_size_and_padding() -> None:
    statistics = WorkerStatistics("m")
    statistics.ran(items=8, tokens=75, padded=100, seconds=0.1, starved=0.0)
    statistics.ran(items=9, tokens=100, padded=100, seconds=0.1, starved=0.0)
    statistics.ran(items=1, tokens=0, padded=0, seconds=0.1, starved=0.0)
    beat = statistics.beat
    assert filled(beat.batch_items, BATCH_ITEMS) == {8: 1, 16: 1, 1: 1}
    assert filled(beat.batch_padding, PADDING) == {0.3: 1, 0.0: 1}
    assert (beat.items, beat.batches, beat.batch_padding_sum) == (18, 3, 0.25)


def test_a_worker_is_known_by_host_and_process() -> None:
    """Two containers may have the same of both, and so have a worker that was killed and its successor."""
    one, other = WorkerStatistics("m").beat, WorkerStatistics("m").beat
    assert one.id.startswith(f"{one.host}:{one.pid}:")
    assert one.id != other.id


def test_what_was_loaded_is_reported() -> None:
    statistics = WorkerStatistics("m")
    statistics.loaded(Loaded("cpu", "float32", 128, None, 0.0, Cost(512), False, 2, ""))
    assert (statistics.beat.budget, statistics.beat.threads) == (512, 2)
    statistics.loaded(Loaded("cpu", "float32", 128, None, 0.0, Cost(NO_BUDGET), False, 2, ""))
    assert statistics.beat.budget == 0


async def test_a_heartbeat_has_the_same_figures_as_the_jobs(queue: JobQueue, serving: Serving) -> None:
    sent = [(await queue.submit(new_job("one")))[0] for _ in range(3)]
    async with serving(token_budget=77) as worker:
        roster = Roster(first_shard(queue.redis))

        async def counted() -> bool:
            return any(sum(beat.total) == len(sent) for beat in await roster.read())

        await until(counted)
        beat = worker.statistics.beat
    jobs = [await queue.read(job.id) for job in sent]
    assert (beat.model, sum(beat.queued), sum(beat.compute)) == (MODEL, 3, 3)
    assert abs(beat.queued_sum * 1000 - sum(job.timings.queued_ms or 0 for job in jobs)) < 1
    assert abs(beat.compute_sum * 1000 - sum(job.timings.compute_ms or 0 for job in jobs)) < 1
    assert beat.total_sum * 1000 >= sum(job.timings.queued_ms or 0 for job in jobs)
    assert sum(beat.batch_items) == beat.batches
    assert beat.budget == 77
