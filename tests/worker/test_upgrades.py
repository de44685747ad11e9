"""Releases side by side: this worker runs the jobs of an older and of a newer API."""

from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from tests.jobs.ledger import release_0_1
from tests.jobs.ledger.test_upgrades import ASKED, NEWER, newer, put
from tests.ledger import JobQueue
from tests.worker.conftest import MODEL, Serving
from tests.worker.test_batch_worker import ended, results


@pytest.mark.parametrize(
    "payload",
    [newer(NEWER), newer(NEWER, shard=3), newer(NEWER | {f"field{i}": i for i in range(20)})],
    ids=["fields", "beside", "many fields"],
)
async def test_a_newer_releases_job_runs(
    redis: ArqRedis, queue: JobQueue, serving: Serving, payload: bytes
) -> None:
    job_id = await put(redis, payload)
    await redis.incrby(keys.BYTES.of(MODEL), len(payload))
    async with serving():
        [job] = await ended(queue, job_id)
    assert (job.status, texts(results(job))) == ("succeeded", ["A", "B"])
    assert (await queue.depth())[MODEL].bytes == 0


@pytest.mark.parametrize("name", release_0_1.PAYLOADS)
async def test_a_job_of_0_1_runs(redis: ArqRedis, queue: JobQueue, serving: Serving, name: str) -> None:
    inputs, _ = ASKED[name]
    # its parameters are those of another task
    payload = release_0_1.PAYLOADS[name].replace(b"\x81\xa5top_k", b"\x81\xa6factor")
    job_id = await put(redis, payload)
    if b"expires_in" in payload:  # it was due long ago, and began in time
        await redis.set(keys.ATTEMPTS.of(job_id), 1, ex=60)
    async with serving():
        [job] = await ended(queue, job_id)
    assert (job.status, texts(results(job))) == ("succeeded", [text.upper() for text in inputs])
    assert job.created_at.year == 2026


def texts(results: list[Any]) -> list[str]:
    return [result["output"]["text"] for result in results]
