"""Partial answers in Redis: appended once and in order by the lease's holder, and gone after the job."""

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.ledger import keys, partials
from jobs.ledger.leasing import Claimed
from jobs.ledger.partials import FOREIGN, REFUSED, SLICE, Output, Restarted, encoded
from tests.jobs.ledger.test_queue import MODEL, ending, new_job
from tests.ledger import JobQueue
from tests.waiting import until

ONE, TWO = Output(0, "Once upon", 2), Output(0, ' a "line\nbreak"', 4)


async def claimed(queue: JobQueue) -> Claimed:
    await queue.submit(replace(new_job("x"), stream=True))
    [job], _ = await queue.claim(MODEL, 1)
    return job


async def found(queue: JobQueue, job_id: str, after: int = 0) -> list[Output | Restarted]:
    return [line.decoded() for line in partials.lines(await queue.following.partials(job_id, after), after)]


async def test_partial_answers_are_appended_once_and_read_from_any_position(queue: JobQueue) -> None:
    job = await claimed(queue)
    first = await queue.append(job, 0, ONE)
    assert await queue.append(job, 0, ONE) == first, "sent again because the answer was lost"
    assert await queue.append(job, first, TWO, Restarted(0)) > first
    assert await found(queue, job.id) == [ONE, TWO, Restarted(0)]
    assert await found(queue, job.id, first) == [TWO, Restarted(0)]
    assert await queue.append(job, first + 1, ONE) == REFUSED, "there would be a gap"


async def test_a_worker_without_the_lease_appends_nothing(queue: JobQueue) -> None:
    lost = await claimed(queue)
    length = await queue.append(lost, 0, ONE)
    await queue.lapse(lost.id)
    await queue.sweep(MODEL)
    [job], _ = await queue.claim(MODEL, 1)
    assert await queue.append(lost, length, TWO) == REFUSED
    longer = await queue.append(job, -1, Restarted(0), ONE)
    assert longer > length
    assert await queue.append(job, -1, Restarted(0), ONE) == longer, "sent again"
    assert await found(queue, job.id) == [ONE, Restarted(0), ONE]


async def test_the_text_of_an_attempt_that_was_not_charged_is_not_continued(queue: JobQueue) -> None:
    first = await claimed(queue)
    length = await queue.append(first, 0, ONE)
    await queue.release(MODEL, [(first, 0)])
    [job], _ = await queue.claim(MODEL, 1)
    assert not job.returned
    other = Output(0, "Once more", 2)
    assert len(encoded(other)) == len(encoded(ONE))
    assert await queue.append(job, 0, other) == FOREIGN
    assert await queue.append(job, -1, Restarted(0), other) > length
    assert await found(queue, job.id) == [ONE, Restarted(0), other]


@pytest.mark.parametrize("data", ["or else", "{}", 1])
@pytest.mark.parametrize("before", [0, -1, 9])
async def test_another_programs_data_is_left_alone(
    queue: JobQueue, redis: ArqRedis, data: str | int, before: int
) -> None:
    job = await claimed(queue)
    key = await queue.key(keys.PARTIALS, job.id)
    await (redis.set(key, data) if isinstance(data, str) else redis.rpush(key, data))  # type: ignore[misc]
    assert await queue.append(job, before, Restarted(0), ONE) == REFUSED
    assert await found(queue, job.id) == []
    assert await queue.finish(MODEL, [ending(job)]) == set()
    left = await (redis.get(key) if isinstance(data, str) else redis.lpop(key))  # type: ignore[misc]
    assert left == str(data).encode()


def test_lines_of_others_are_skipped() -> None:
    garbage = [b"", b"o", b"r{}", b'o{"index":0,"text":"\xff","tokens":1}', b'x{"index":0}', b"r[0]"]
    data = b"\n".join([*garbage, encoded(ONE) + encoded(Restarted(1)) + b'o{"index":0'])
    assert [line.decoded() for line in partials.lines(data, 5)] == [ONE, Restarted(1)]
    assert [*partials.lines(data, 5)][-1].position == 5 + data.rindex(b"\n") + 1


@pytest.mark.parametrize("character", ["x", "\0", "\U0001f600"])
async def test_a_slice_contains_whole_lines(queue: JobQueue, character: str) -> None:
    job = await claimed(queue)
    text = character * 300_000
    await queue.append(job, 0, Output(0, text, 9))
    read, position = "", 0
    while data := await queue.following.partials(job.id, position):
        assert len(data) <= SLICE
        some = list(partials.lines(data, position))
        position = some[-1].position
        for line in some:
            entry = line.decoded()
            assert isinstance(entry, Output)
            assert entry.tokens == 9
            read += entry.text
    assert read == text


async def test_nothing_is_left_of_a_job_in_the_end(queue: JobQueue, redis: ArqRedis) -> None:
    await queue.submit(replace(new_job("x"), stream=True, result_ttl=5.0))
    [job], _ = await queue.claim(MODEL, 1)
    await queue.append(job, 0, ONE)
    await queue.finish(MODEL, [ending(job)])
    assert await found(queue, job.id) == [ONE], "for readers that are late"

    async def gone() -> bool:
        return not await redis.keys(f"*{job.id}*")

    await until(gone)


@pytest.mark.parametrize("end", ["finish", "cancel", "finish soon"])
async def test_they_vanish_soon_after_the_end(queue: JobQueue, redis: ArqRedis, end: str) -> None:
    if end == "finish soon":
        await queue.submit(replace(new_job("x"), stream=True, result_ttl=30.0))
        [job], _ = await queue.claim(MODEL, 1)
    else:
        job = await claimed(queue)
    length = await queue.append(job, 0, ONE)
    key = await queue.key(keys.PARTIALS, job.id)
    assert await redis.pttl(key) > 3_600_000
    if end == "cancel":
        await queue.cancel(job.id)
    else:
        await queue.finish(MODEL, [ending(job)])
    assert 0 < await redis.pttl(key) <= (30_000 if end == "finish soon" else 60_000)
    assert await queue.append(job, length, TWO) == REFUSED
