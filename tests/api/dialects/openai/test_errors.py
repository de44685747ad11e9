"""OpenAI's form of every error: of the request, of the job, and before any route is reached."""

import asyncio

import httpx
import pytest

from api.dialects.openai import errors
from api.problems.problem import Problem
from api.problems.statuses import STATUSES
from jobs.settings import Settings
from tests.api.access.keyed import Keyed
from tests.api.api_process import mounted
from tests.api.dialects.answering import asked
from tests.ledger import JobQueue
from tests.waiting import until

PATH = "/v1/embeddings"
BODY = {"model": "vectors", "input": ["a", "b"]}


async def test_a_failed_input_fails_the_request(client: httpx.AsyncClient, queue: JobQueue) -> None:
    failure = {"error": {"type": "urn:batchline:problem:engine-died", "title": "t", "detail": "it died"}}
    answer, claimed = await asked(client, queue, PATH, BODY, [{"output": [0.5]}, failure], "vectors")
    assert answer.status_code == 500
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["x-batchline-job"] == claimed.id
    assert answer.json()["error"] == {
        "message": "input 1: it died",
        "type": "server_error",
        "param": None,
        "code": "job_failed",
    }


async def test_an_input_that_the_model_refuses_is_a_bad_request(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    refused = {
        "error": {"type": "urn:batchline:problem:invalid-request", "title": "t", "detail": "it is empty"}
    }
    answer, _ = await asked(client, queue, PATH, {"input": ""}, [refused], "vectors")
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "it is empty")


def test_no_kind_is_a_conflict_and_each_has_a_type() -> None:
    for kind in STATUSES:
        answer = errors.response(Problem(kind, "why"))
        assert answer.status_code != 409
        assert answer.status_code != 422
        error = errors.document(Problem(kind, "why"))["error"]
        assert error["message"] == "why"
        assert (error["type"] == "server_error") == (answer.status_code >= 500)


@pytest.mark.parametrize("path", [PATH, "/v1/moderations", "/v1/chat/completions", "/v1/completions"])
async def test_a_bad_body_is_refused(client: httpx.AsyncClient, path: str) -> None:
    for content, message in (
        (b"", "the body is empty"),
        (b"{", "not valid JSON"),
        (b'{"input":' + b"[" * 20_000, ""),
        (b'{"model": "\xff"}', "not valid JSON"),
        (b'{"x":' + b"[0," * 150_000, "more than 100000 lists"),
    ):
        answer = await client.post(path, content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        assert message in answer.json()["error"]["message"], content[:20]
    answer = await client.post(path, content=b"x", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


async def test_a_wrong_key_is_refused_in_this_form(guarded: Keyed) -> None:
    answer = await guarded.client.post(PATH, json=BODY, headers={"authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.json()["error"]["type"] == "authentication_error"


async def test_a_job_that_takes_too_long_is_named(settings: Settings, queue: JobQueue) -> None:
    async with mounted(settings.model_copy(update={"max_wait": 0.01})) as (client, _):
        answer = await client.post(PATH, json=BODY)
        job_id = answer.headers["x-batchline-job"]
        assert (answer.status_code, answer.headers["x-should-retry"]) == (504, "false")
        assert f"GET /v1/jobs/{job_id}" in answer.json()["error"]["message"]
        assert (await client.get(f"/v1/jobs/{job_id}")).json()["status"] == "queued"


async def test_a_cancelled_job_is_no_answer(client: httpx.AsyncClient, queue: JobQueue) -> None:
    asking = asyncio.create_task(client.post(PATH, json=BODY))

    async def jobs() -> list[dict[str, str]]:
        found: list[dict[str, str]] = (await client.get("/v1/jobs")).json()["jobs"]
        return found

    await until(jobs)
    await client.delete(f"/v1/jobs/{(await jobs())[0]['id']}")
    answer = await asking
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "job_cancelled")


async def test_models_are_retrieved_by_name_or_alias(client: httpx.AsyncClient) -> None:
    for name in ("org/pooled", "org%2Fpooled", "pooled"):
        found = (await client.get(f"/v1/models/{name}")).json()
        assert (found["id"], found["object"]) == ("org/pooled", "model")
    answer = await client.get("/v1/models/org/gone")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
