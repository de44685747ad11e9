"""How a job can end, and how each ending is reported: results, errors, cancelled, expired, gone."""

from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.ids import new_id
from tests.ledger import MODEL, JobQueue, ending, run_one

PROBLEM = "urn:batchline:problem:"
BAD = {"error": {"type": "urn:batchline:problem:input-failed", "title": "It failed", "detail": "no"}}


async def submitted(client: httpx.AsyncClient, **fields: object) -> str:
    answer = await client.post("/v1/jobs", json={"inputs": "x", **fields})
    assert answer.status_code == 202
    return str(answer.json()["id"])


async def test_some_inputs_may_fail_and_the_job_succeeds(client: httpx.AsyncClient, queue: JobQueue) -> None:
    job_id = await submitted(client, inputs=["good", "bad"])
    results: list[dict[str, Any]] = [{"output": 1}, BAD]
    await run_one(queue, results)
    job = (await client.get(f"/v1/jobs/{job_id}")).json()
    assert (job["status"], job["counts"]) == (
        "succeeded",
        {"total": 2, "succeeded": 1, "failed": 1, "tokens": None},
    )
    assert (await client.get(f"/v1/jobs/{job_id}/result")).json() == {"results": results}


async def test_a_failed_job_answers_with_its_reasons(client: httpx.AsyncClient, queue: JobQueue) -> None:
    job_id = await submitted(client)
    await run_one(queue, [BAD])
    answer = await client.get(f"/v1/jobs/{job_id}/result")
    assert (answer.status_code, answer.json()) == (200, {"results": [BAD]})
    assert (await client.get(f"/v1/jobs/{job_id}")).json()["status"] == "failed"


async def test_cancelling_is_idempotent_and_its_result_a_conflict(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    job_id = await submitted(client)
    claimed, _ = await queue.claim(MODEL, 1)
    first = await client.delete(f"/v1/jobs/{job_id}")
    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert (await client.delete(f"/v1/jobs/{job_id}")).json() == first.json()
    assert await queue.finish(MODEL, [ending(claimed[0])]) == {job_id}, "a late result is refused"
    answer = await client.get(f"/v1/jobs/{job_id}/result?wait=5")
    assert (answer.status_code, answer.json()["type"]) == (409, f"{PROBLEM}job-cancelled")
    assert answer.json()["instance"] == f"/v1/jobs/{job_id}/result"


async def test_a_done_job_stays_done_when_cancelled(client: httpx.AsyncClient, queue: JobQueue) -> None:
    job_id = await submitted(client)
    await run_one(queue)
    answer = await client.delete(f"/v1/jobs/{job_id}")
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")


@pytest.mark.parametrize("seconds", [0.0001, pytest.param(0.05, marks=pytest.mark.thorough)])
async def test_an_overdue_job_expires_with_no_worker_alive(client: httpx.AsyncClient, seconds: float) -> None:
    """The edge itself sweeps, so the wait below ends by the event and long before its own time."""
    job_id = await submitted(client, expires_in=seconds)
    answer = await client.get(f"/v1/jobs/{job_id}?wait=20")
    assert answer.json()["status"] == "expired"
    result = await client.get(f"/v1/jobs/{job_id}/result")
    assert (result.status_code, result.json()["type"]) == (410, f"{PROBLEM}job-expired")


@pytest.mark.parametrize("path", ["", "/result", "/events"])
@pytest.mark.parametrize(
    ("job_id", "status", "kind"),
    [
        ("{new}", 404, "unknown-job"),
        ("no-uuid", 404, "unknown-job"),
        ("01890000-0000-7000-8000-000000000000", 410, "job-gone"),
    ],
)
async def test_a_job_that_is_not_there(
    client: httpx.AsyncClient, job_id: str, status: int, kind: str, path: str
) -> None:
    job_id = job_id.format(new=new_id())
    answer = await client.get(f"/v1/jobs/{job_id}{path}")
    assert (answer.status_code, answer.json()["type"]) == (status, PROBLEM + kind)
    if not path:
        assert (await client.delete(f"/v1/jobs/{job_id}")).status_code == status


async def test_a_replay_of_a_job_whose_lifetime_is_over(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    """The key is remembered for a day, the job for an hour: the client learns that it was done."""
    headers = {"idempotency-key": "k"}
    job_id = (await client.post("/v1/jobs", json={"inputs": "x"}, headers=headers)).json()["id"]
    await run_one(queue)
    await redis.delete(keys.JOB.of(job_id), keys.RESULT.of(job_id))
    answer = await client.post("/v1/jobs", json={"inputs": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (410, f"{PROBLEM}job-gone")
    assert (await client.get("/v1/jobs")).json()["jobs"] == []
