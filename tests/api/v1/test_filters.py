"""`GET /v1/jobs?state=&model=`, and query parameters that a route does not take."""

import httpx
import pytest

from jobs.ledger.ids import new_id
from tests.ledger import JobQueue, run_one

FAILED = {"error": {"type": "t", "title": "t", "detail": "d"}}


async def submitted(client: httpx.AsyncClient, **fields: object) -> str:
    answer = await client.post("/v1/jobs", json={"inputs": "x", **fields})
    return str(answer.json()["id"])


async def listed(client: httpx.AsyncClient, query: str) -> set[str]:
    answer = await client.get(f"/v1/jobs?{query}")
    assert answer.status_code == 200, answer.text
    return {job["id"] for job in answer.json()["jobs"]}


async def test_jobs_are_filtered_by_state_and_model(client: httpx.AsyncClient, queue: JobQueue) -> None:
    done = await submitted(client)
    await run_one(queue)
    partly = await submitted(client, inputs=["x", "y"])
    await run_one(queue, [{"output": 1}, FAILED])
    failed = await submitted(client)
    await run_one(queue, [FAILED])
    waiting, shape = await submitted(client), await submitted(client, model="shapes", inputs=[1])
    assert await listed(client, "state=succeeded") == {done, partly}
    assert await listed(client, "state=partial") == {partly}
    assert await listed(client, "state=failed&state=partial") == {failed, partly}
    assert await listed(client, "state=failed,partial") == {failed, partly}
    assert await listed(client, "state=queued&model=sentiment") == {waiting}
    assert await listed(client, "model=shapes") == {shape}
    assert await listed(client, "model=shapes,sentiment") == {done, partly, failed, waiting, shape}
    assert await listed(client, "state=expired") == set()


async def test_the_cursor_of_a_filtered_page_leads_to_the_next(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    made = []
    for _ in range(5):
        made.append(await submitted(client))
        await submitted(client, model="shapes", inputs=[1])
    seen: list[str] = []
    query: dict[str, str | int] = {"limit": 2, "model": "sentiment"}
    while True:
        page = (await client.get("/v1/jobs", params=query)).raise_for_status().json()
        seen += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert (len(seen), set(seen)) == (5, set(made))


@pytest.mark.parametrize("value", ["nix", "", "queued,nix", "Queued", "x" * 1_000])
async def test_an_unknown_state_is_refused(client: httpx.AsyncClient, value: str) -> None:
    answer = await client.get("/v1/jobs", params={"state": value})
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "urn:batchline:problem:invalid-request")
    assert problem["parameter"] == "state"
    assert "give queued, running, succeeded, failed, cancelled, expired or partial" in problem["detail"]


async def test_a_model_that_is_not_served_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/jobs?model=sentiment,nix")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:batchline:problem:unknown-model")
    assert "known: sentiment, shapes" in answer.json()["detail"]
    assert "pointer" not in answer.json(), "there is no body to point into"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/jobs", "cursor, limit, model, state"),
        ("POST", "/v1/jobs", "wait"),
        ("GET", "/v1/jobs/{id}", "wait"),
        ("HEAD", "/v1/jobs/{id}", "wait"),
        ("GET", "/v1/jobs/{id}/result", "wait"),
        ("DELETE", "/v1/jobs/{id}", None),
        ("GET", "/v1/jobs/{id}/events", None),
        ("GET", "/v1/models", None),
    ],
)
async def test_an_unknown_parameter_is_refused_with_those_allowed(
    client: httpx.AsyncClient, method: str, path: str, allowed: str | None
) -> None:
    body = {"inputs": "x"} if method == "POST" else None
    for name in ("states", "Wait", "x" * 100):
        query = {name: "1"} if allowed != "wait" else {"wait": "0", name: "1"}
        answer = await client.request(method, path.replace("{id}", new_id()), params=query, json=body)
        assert answer.status_code == 422
        if method == "HEAD":
            continue
        problem = answer.json()
        assert problem["parameter"] == name[:60]
        here = f"allowed here: {allowed}" if allowed else "none is allowed here"
        assert problem["detail"] == f"query parameter {name[:60]!r} is unknown; {here}"


async def test_nothing_is_submitted_with_an_unknown_parameter(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    answer = await client.post("/v1/jobs?model=shapes", json={"inputs": "x"})
    assert answer.status_code == 422
    assert (await queue.recent(1))[0] == []
