"""Releases side by side: this worker runs the jobs of an older and of a newer API."""

from typing import Any

from arq.connections import ArqRedis

from jobs.ledger import keys
from tests.jobs.ledger import release_0_1
from tests.jobs.ledger.test_upgrades import ASKED, NEWER, newer, put
from tests.ledger import JobQueue
from tests.worker.conftest import MODEL, Serving
from tests.worker.test_batch_worker import ended, results

NEWER_JOBS = {
    "fields": newer(NEWER),
    "beside": newer(NEWER, shard=3),
    "many fields": newer(NEWER | {f"field{i}": i for i in range(20)}),
}


async def test_a_newer_releases_jobs_run(redis: ArqRedis, queue: JobQueue, serving: Serving) -> None:
    ids = {}
    for name, payload in NEWER_JOBS.items():
        ids[name] = await put(redis, payload)
        await redis.incrby(keys.BYTES.of(MODEL), len(payload))
    async with serving():
        jobs = await ended(queue, *ids.values())
    for name, job in zip(ids, jobs, strict=True):
        assert (job.status, texts(results(job))) == ("succeeded", ["A", "B"]), name
    assert (await queue.depth())[MODEL].bytes == 0


async def test_jobs_of_0_1_run(redis: ArqRedis, queue: JobQueue, serving: Serving) -> None:
    ids = {}
    for name, written in release_0_1.PAYLOADS.items():
        # its parameters are those of another task
        payload = written.replace(b"\x81\xa5top_k", b"\x81\xa6factor")
        ids[name] = await put(redis, payload)
        if b"expires_in" in payload:  # it was due long ago, and began in time
            await redis.set(keys.ATTEMPTS.of(ids[name]), 1, ex=60)
    async with serving():
        jobs = await ended(queue, *ids.values())
    for name, job in zip(ids, jobs, strict=True):
        inputs, _ = ASKED[name]
        expected = ("succeeded", [text.upper() for text in inputs])
        assert (job.status, texts(results(job))) == expected, name
        assert job.created_at.year == 2026, name


def texts(results: list[Any]) -> list[str]:
    return [result["output"]["text"] for result in results]
