"""What all synchronous calls share: priority, idempotency, and a client that leaves."""

import asyncio

import httpx
import pytest

from jobs.ledger.wire import decode_payload
from jobs.settings import Settings
from tests.api.api_process import mounted, serving
from tests.api.dialects.answering import asked
from tests.ledger import JobQueue, run_one
from tests.waiting import until

PATH = "/v1/moderations"
BODY = {"model": "sentiment", "input": "A fine film."}


async def test_the_priority_is_in_a_header(client: httpx.AsyncClient, queue: JobQueue) -> None:
    for name in ("high", "low"):
        headers = {"x-batchline-priority": name}
        _, claimed = await asked(client, queue, PATH, BODY, [{"output": []}], "sentiment", headers=headers)
        assert decode_payload(claimed.payload).k["priority"] == name
    answer = await client.post(PATH, json=BODY, headers={"x-batchline-priority": "urgent"})
    assert answer.status_code == 400
    assert "high, normal or low, not 'urgent'" in answer.json()["error"]["message"]


async def test_a_repeated_request_gets_the_first_ones_answer(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    headers = {"idempotency-key": "k"}
    first, claimed = await asked(client, queue, PATH, BODY, [{"output": []}], "sentiment", headers=headers)
    again = await client.post(PATH, json=BODY, headers=headers)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-batchline-job"] == claimed.id
    other = await client.post(PATH, json=BODY | {"input": "Another."}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (400, "idempotency_mismatch")
    bad = await client.post(PATH, json=BODY, headers={"idempotency-key": "k" * 256})
    assert bad.status_code == 400


@pytest.mark.parametrize(("key", "state"), [(None, "cancelled"), ("k", "queued")])
async def test_a_client_that_leaves_cancels_its_job_unless_it_can_ask_again(
    settings: Settings, queue: JobQueue, key: str | None, state: str
) -> None:
    async with serving(settings) as (client, services):
        headers = {"idempotency-key": key} if key else {}
        asking = asyncio.create_task(client.post(PATH, json=BODY, headers=headers))

        async def jobs() -> list[dict[str, str]]:
            found: list[dict[str, str]] = (await client.get("/v1/jobs")).json()["jobs"]
            return found

        await until(jobs)
        asking.cancel()

        async def left() -> bool:
            gone = services.metrics.registry.get_sample_value
            return gone("batchline_waits_total", {"outcome": "hung_up"}) == 1

        await until(left)

        async def decided() -> bool:
            return (await jobs())[0]["status"] == state

        await until(decided)
        assert (await run_one(queue) is None) == (key is None)


async def test_a_large_answer_is_made_while_others_need_memory(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its results have no client that could stall, so nobody may take their memory."""
    monkeypatch.setattr("api.edge.memory_budget.STALL_SECONDS", 0.01)
    label = "x" * 300_000
    async with mounted(settings.model_copy(update={"memory_budget": 2**20})) as (client, services):
        with services.budget.hold(300_000):
            results = [{"output": [{"label": label, "score": 1.0}]}]
            answer, _ = await asked(client, queue, PATH, BODY, results, "sentiment")
        assert answer.json()["results"][0]["categories"] == {label: True}
        del answer
        assert services.budget.held == 0
