"""Submitting, waiting, reading: a job's ordinary way through the edge. Reads as a tutorial."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis

from api.v1.requested_wait import preferred_wait
from jobs.ledger import keys
from jobs.ledger.ids import new_id
from jobs.ledger.integrity import Integrity
from jobs.monitoring.roster import Roster
from tests.conftest import written
from tests.ledger import MODEL, JobQueue, first_shard, heartbeat, run_one
from tests.waiting import until

POSITIVE = [{"output": [{"label": "POSITIVE", "score": 0.98}]}]


async def test_a_job_is_submitted_run_and_read(client: httpx.AsyncClient, queue: JobQueue) -> None:
    accepted = await client.post("/v1/jobs", json={"inputs": "A fine film."})
    assert accepted.status_code == 202
    job = accepted.json()
    assert (job["status"], job["model"], job["position"]) == ("queued", MODEL, 1)
    assert accepted.headers["location"] == f"/v1/jobs/{job['id']}" == job["urls"]["self"]

    early = await client.get(job["urls"]["result"])
    assert (early.status_code, early.headers["retry-after"], early.json()) == (202, "1", job)

    await run_one(queue)
    done = (await client.get(job["urls"]["self"])).json()
    assert (done["status"], done["results"]) == ("succeeded", POSITIVE)
    assert done["counts"] == {"total": 1, "succeeded": 1, "failed": 0, "tokens": None}
    assert done["timings"]["compute_ms"] == 1.5
    result = await client.get(job["urls"]["result"])
    assert (result.status_code, result.json()) == (200, {"results": POSITIVE})


@pytest.mark.parametrize("how", ["prefer", "query"])
async def test_a_submit_can_wait_for_its_answer(client: httpx.AsyncClient, queue: JobQueue, how: str) -> None:
    headers = {"prefer": "respond-async, wait=10"} if how == "prefer" else {}
    url = "/v1/jobs" if how == "prefer" else "/v1/jobs?wait=10"
    request = asyncio.create_task(client.post(url, json={"inputs": "A fine film."}, headers=headers))

    async def ran() -> bool:
        return await run_one(queue) is not None

    await until(ran)
    answer = await request
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert answer.headers.get("preference-applied") == ("wait=10" if how == "prefer" else None)
    assert answer.headers["location"] == answer.json()["urls"]["self"]


async def test_a_wait_that_was_too_short_answers_as_no_wait(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/jobs", json={"inputs": "x"}, headers={"prefer": "wait=0.05"})
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert "preference-applied" not in answer.headers
    read = await client.get(f"{answer.headers['location']}?wait=0.05")
    assert (read.status_code, read.json()["status"]) == (200, "queued")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["wait=10"], 10),
        (["respond-async", "Wait = 5 ; x=y"], 5),
        (['wait="7"'], 7),
        (["wait=2.5, wait=9"], 2.5),
        (["wait=soon"], None),
        (["wait=-1"], None),
        (["await=3", "handling=lenient"], None),
        ([], None),
    ],
)
def test_preferences_are_read_as_rfc_7240_says(headers: list[str], seconds: float | None) -> None:
    assert preferred_wait(headers) == seconds


async def test_a_job_for_a_named_model_with_everything_said(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    body = {
        "model": "shapes",
        "inputs": [{"sides": 3}, [1, 2.5, None]],
        "parameters": {"depth": 2},
        "priority": "high",
        "expires_in": 60,
    }
    job = (await client.post("/v1/jobs", json=body)).json()
    assert (job["model"], job["counts"]["total"]) == ("shapes", 2)
    stored = await JobQueue(queue.redis, queue.settings, ["shapes"]).inputs_of(job["id"])
    assert stored.inputs == body["inputs"]


async def test_an_idempotency_key_makes_one_job_and_says_so(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    headers = {"idempotency-key": "order 4711"}
    first = await client.post("/v1/jobs", json={"inputs": "x"}, headers=headers)
    again = await client.post("/v1/jobs", json={"inputs": "x"}, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert "idempotency-replayed" not in first.headers
    assert (again.headers["idempotency-replayed"], again.headers["location"]) == (
        "true",
        first.headers["location"],
    )

    waiting = asyncio.create_task(client.post("/v1/jobs?wait=10", json={"inputs": "x"}, headers=headers))
    await run_one(queue)
    answer = await waiting
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert answer.headers["idempotency-replayed"] == "true"

    other = await client.post("/v1/jobs", json={"inputs": "y"}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "urn:batchline:problem:idempotency-mismatch")


async def test_a_submit_that_is_sent_again_makes_one_job(
    client: httpx.AsyncClient, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As redis-py does when the first answer was lost on its way."""
    run = Integrity.run

    async def twice(integrity: Integrity, *call: Any, **options: Any) -> Any:
        await run(integrity, *call, **options)
        return await run(integrity, *call, **options)

    monkeypatch.setattr(Integrity, "run", twice)
    for headers in ({}, {"idempotency-key": "k"}):
        answer = await client.post("/v1/jobs", json={"inputs": "x"}, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
        assert "idempotency-replayed" not in answer.headers
    assert (await queue.depth())[MODEL].waiting == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u0081", "a\tb"])
async def test_an_idempotency_key_is_short_and_printable(
    client: httpx.AsyncClient, redis: ArqRedis, key: str
) -> None:
    answer = await client.post(
        "/v1/jobs", json={"inputs": "x"}, headers={b"idempotency-key": key.encode("latin-1")}
    )
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:batchline:problem:invalid-request")
    assert await written(redis) == set()


async def test_a_full_queue_says_when_to_come_back(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    await redis.zadd(keys.QUEUE.of(MODEL), {f"job-{i}": i for i in range(10_000)})
    beats = [heartbeat("a", items_per_second=150.0), heartbeat("b", items_per_second=50.0)]
    for beat in beats:
        await Roster(first_shard(redis)).write(beat)
    answer = await client.post("/v1/jobs", json={"inputs": "x"})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:batchline:problem:queue-full")
    assert answer.headers["retry-after"] == "50", "10,000 jobs at 200 a second"
    await redis.delete(keys.QUEUE.of(MODEL))


async def test_the_edge_needs_no_model_files(client: httpx.AsyncClient) -> None:
    models = (await client.get("/v1/models")).json()["models"]
    assert [model["name"] for model in models] == ["sentiment", "shapes"]
    assert [model["default"] for model in models] == [True, False]
    assert models[0]["limits"] == {"max_inputs": 1000, "max_input_chars": 100_000}
    assert set(models[0]["parameters"]["properties"]) == {"top_k", "function_to_apply"}
    assert models[0]["workers"] == []


async def test_models_name_their_live_workers(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    await Roster(first_shard(redis)).write(
        heartbeat(items_per_second=12.34, engine="busy", backend="onnxruntime")
    )
    models = (await client.get("/v1/models")).json()["models"]
    assert models[0]["workers"] == [
        {
            "id": "host-1",
            "state": "busy",
            "device": "cpu",
            "dtype": "float32",
            "backend": "onnxruntime",
            "items_per_second": 12.3,
        }
    ]
    assert models[1]["workers"] == []


async def test_a_missing_content_type_is_taken_for_json(client: httpx.AsyncClient) -> None:
    body = msgspec.json.encode({"inputs": "x"})
    assert (await client.post("/v1/jobs", content=body)).status_code == 202
    headers = {"content-type": "application/vnd.batchline+json; charset=utf-8"}
    assert (await client.post("/v1/jobs", content=body, headers=headers)).status_code == 202


async def test_jobs_are_listed_newest_first_page_by_page(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    made = [(await client.post("/v1/jobs", json={"inputs": f"{i}"})).json()["id"] for i in range(5)]
    await redis.zadd(keys.RECENT.pattern, {job_id: i for i, job_id in enumerate(made, start=1)})
    await run_one(queue)
    first = (await client.get("/v1/jobs?limit=3")).json()
    rest = (await client.get("/v1/jobs", params={"limit": 3, "cursor": first["next"]})).json()
    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == made[::-1]
    assert rest["next"] is None
    assert rest["jobs"][-1]["status"] == "succeeded"
    assert rest["jobs"][-1]["results"] is None, "a list does not carry them"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "cursor=zz", "cursor=", "cursor=-1", "cursor=0x1"]
)
async def test_a_bad_page_is_refused(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/v1/jobs?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:batchline:problem:invalid-request")
    assert query.partition("=")[0] in answer.json()["detail"]


@pytest.mark.parametrize("wait", ["-1", "soon", "nan"])
async def test_a_bad_wait_is_refused(client: httpx.AsyncClient, wait: str) -> None:
    answer = await client.get(f"/v1/jobs/{new_id()}?wait={wait}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
