"""Results of a job that still runs, and of one that ended: JSON and lines, from the last one read."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from jobs.ledger.leasing import Claimed, Progress
from jobs.schema import NewJob
from jobs.settings import Settings
from tests.api.api_process import mounted, parked, serving
from tests.jobs.ledger.test_queue import new_job
from tests.ledger import MODEL, JobQueue
from worker.leases.leased_job import LeasedJob

LINES = {"accept": "application/x-ndjson"}


def leased(claimed: Claimed, count: int) -> LeasedJob:
    new: NewJob = replace(new_job(), inputs=["text"] * count, count=count)
    job = LeasedJob(claimed, new, claimed.claimed_ms, 10**9)
    job.start()
    return job


async def running(client: httpx.AsyncClient, queue: JobQueue, count: int = 4) -> LeasedJob:
    await client.post("/v1/jobs", json={"inputs": ["text"] * count})
    [claimed], _ = await queue.claim(MODEL, count)
    await queue.start([claimed])
    return leased(claimed, count)


async def note(queue: JobQueue, job: LeasedJob, *outcomes: tuple[int, str]) -> None:
    for index, output in outcomes:
        job.settle(index, json.dumps(output).encode())
    progress: Progress = job.progress(10**9)
    assert await queue.note([progress]) == set()
    job.noted += len(progress.outcomes)


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["cache-control"] == "no-store"
    return [json.loads(line) for line in response.text.splitlines()]


async def test_results_come_as_they_become_known(client: httpx.AsyncClient, queue: JobQueue) -> None:
    job = await running(client, queue)
    here = f"/v1/jobs/{job.id}/results"
    assert (await client.get(here)).json() == {
        "status": "running",
        "counts": {"total": 4, "succeeded": 0, "failed": 0, "tokens": None},
        "next": 0,
        "results": [],
    }
    await note(queue, job, (2, "c"), (0, "a"))
    first = (await client.get(here)).json()
    assert first["results"] == [{"index": 2, "output": "c"}, {"index": 0, "output": "a"}]
    assert (first["next"], first["counts"]["succeeded"]) == (2, 2)
    assert (await client.get(f"/v1/jobs/{job.id}")).json()["counts"]["succeeded"] == 2
    await note(queue, job, (3, "d"))
    assert lines(await client.get(here, headers=LINES, params={"from": 2})) == [{"index": 3, "output": "d"}]
    job.settle(1, b'"b"')
    await queue.finish(MODEL, [job.finished()])
    last = (await client.get(here, params={"from": 3})).json()
    assert (last["status"], last["next"]) == ("succeeded", 4)
    assert last["results"] == [{"index": 1, "output": "b"}], "the order stays when the job ends"
    everything = lines(await client.get(here, headers=LINES))
    assert [each["index"] for each in everything] == [2, 0, 3, 1]
    assert lines(await client.get(here, headers=LINES, params={"from": 4})) == []
    result = (await client.get(f"/v1/jobs/{job.id}/result")).json()
    assert result["results"] == [{"output": each} for each in "abcd"], "aligned with the inputs, as ever"


async def test_a_job_without_progress_has_the_order_of_its_inputs(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    job = await running(client, queue)
    for index in (3, 1, 0, 2):
        job.settle(index, b"%d" % index)
    await queue.finish(MODEL, [job.finished()])
    page = (await client.get(f"/v1/jobs/{job.id}/results", params={"from": 1})).json()
    assert page["results"] == [{"index": index, "output": index} for index in (1, 2, 3)]


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
async def test_large_results_come_in_pieces(settings: Settings, queue: JobQueue, accept: str) -> None:
    async with mounted(settings) as (client, _):
        job = await running(client, queue, 8)
        texts = [chr(97 + index) * 400_000 for index in range(8)]
        await note(queue, job, *((index, texts[index]) for index in (5, 4)))
        here, headers = f"/v1/jobs/{job.id}/results", {"accept": accept}
        for index in (7, 6, 3, 2, 1, 0):
            job.settle(index, json.dumps(texts[index]).encode())
        await queue.finish(MODEL, [job.finished()])
        assert (await client.get(f"/v1/jobs/{job.id}")).json()["counts"]["succeeded"] == 8
        answer = await client.get(here, headers=headers, params={"from": 1})
        found = answer.json()["results"] if accept == "application/json" else lines(answer)
        assert [(each["index"], each["output"]) for each in found] == [
            (index, texts[index]) for index in (4, 7, 6, 3, 2, 1, 0)
        ]


async def test_a_running_jobs_answer_is_bounded(client: httpx.AsyncClient, queue: JobQueue) -> None:
    job = await running(client, queue, 8)
    await note(queue, job, *((index, "x" * 400_000) for index in range(6)))
    read: list[int] = []
    while len(read) < 6:
        page = (await client.get(f"/v1/jobs/{job.id}/results", params={"from": len(read)})).json()
        assert 1 <= len(page["results"]) <= 3
        read += [each["index"] for each in page["results"]]
        assert page["next"] == len(read)
    assert read == list(range(6))


async def test_lines_of_a_running_job_have_everything_that_is_known(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    job = await running(client, queue, 8)
    await note(queue, job, *((index, "x" * 400_000) for index in range(6)))
    answer = await client.get(f"/v1/jobs/{job.id}/results", params={"from": 1, "format": "ndjson"})
    assert [each["index"] for each in lines(answer)] == [1, 2, 3, 4, 5], "more than one slice"
    assert answer.headers["x-batchline-status"] == "running"


async def followed(client: httpx.AsyncClient, job: LeasedJob, after: int = 0) -> AsyncIterator[int]:
    """The indices of the results, as their lines arrive."""
    here, query = f"/v1/jobs/{job.id}/results", f"format=ndjson&wait=30&from={after}"
    async with client.stream("GET", f"{here}?{query}") as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            yield json.loads(line)["index"]


@pytest.mark.parametrize("large", [False, True])
async def test_lines_follow_a_job_until_its_end(settings: Settings, queue: JobQueue, large: bool) -> None:
    async with serving(settings) as (client, _):
        job = await running(client, queue)
        await note(queue, job, (2, "c"))
        seen = followed(client, job)
        assert await anext(seen) == 2
        await note(queue, job, (0, "a" * (400_000 if large else 1)))
        assert await anext(seen) == 0
        job.settle(1, b'"b"')
        job.settle(3, b'"d"')
        await queue.finish(MODEL, [job.finished()])
        assert [each async for each in seen] == [1, 3]
        assert [each async for each in followed(client, job, after=3)] == [3]


async def test_lines_end_with_the_wait_or_a_cancellation(client: httpx.AsyncClient, queue: JobQueue) -> None:
    job = await running(client, queue)
    await note(queue, job, (2, "c"))
    here = f"/v1/jobs/{job.id}/results"
    answer = await client.get(here, params={"format": "ndjson", "wait": 0.05})
    assert [each["index"] for each in lines(answer)] == [2]
    waiting = asyncio.create_task(client.get(here, params={"format": "ndjson", "wait": 60, "from": 1}))
    await client.delete(f"/v1/jobs/{job.id}")
    answer = await waiting
    if answer.status_code == 200:  # the cancellation may have come first
        assert lines(answer) == []
    else:
        assert "job-cancelled" in answer.json()["type"]


async def test_json_comes_at_the_end_of_the_job_or_of_the_wait(settings: Settings, queue: JobQueue) -> None:
    async with mounted(settings) as (client, services):
        job = await running(client, queue)
        await note(queue, job, (2, "c"))
        here = f"/v1/jobs/{job.id}/results"
        answer = await client.get(here, params={"wait": 0.05})
        assert [each["index"] for each in answer.json()["results"]] == [2]
        waiting = asyncio.create_task(client.get(here, params={"wait": 60}))
        await parked(services)
        for index in (0, 1, 3):
            job.settle(index, b'"x"')
        await queue.finish(MODEL, [job.finished()])
        assert len((await waiting).json()["results"]) == 4


async def test_there_are_none_of_a_job_that_was_cancelled(client: httpx.AsyncClient, queue: JobQueue) -> None:
    job = await running(client, queue)
    await note(queue, job, (2, "c"))
    await client.delete(f"/v1/jobs/{job.id}")
    answer = await client.get(f"/v1/jobs/{job.id}/results")
    assert "job-cancelled" in answer.json()["type"]


@pytest.mark.parametrize("given", ["-1", "x", "10001"])
async def test_what_is_no_number_of_outcomes_is_refused(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/v1/jobs/x/results", params={"from": given})
    assert answer.status_code == 422


async def test_an_unknown_job_is_404(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/jobs/x/results")).status_code == 404
