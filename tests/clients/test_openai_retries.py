"""What OpenAI's client does with errors: it retries a full queue, and never what would fail again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from api.services import Services
from jobs.monitoring.roster import Roster
from jobs.settings import Settings
from tests.api.api_process import parked
from tests.api.api_process import serving as serving_api
from tests.api.conftest import lasting_heartbeats  # noqa: F401
from tests.clients.process import ClientProcess, ClientRaised
from tests.ledger import MODEL, JobQueue, heartbeat, run_one
from tests.waiting import until

REQUEST: dict[str, Any] = {"model": MODEL, "input": "a"}
VECTOR = [{"output": [0.5]}]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    file = tmp_path / "models.toml"
    file.write_text(f'[models.{MODEL}]\ntask = "feature-extraction"\nsource = "no/such/folder"\n')
    return settings.model_copy(update={"models_file": file, "max_queued_jobs": 1})


def counted(services: Services, name: str, **labels: str) -> float:
    return services.metrics.registry.get_sample_value(name, labels) or 0.0


async def test_a_full_queue_is_tried_again(
    queue: JobQueue, settings: Settings, clients: ClientProcess
) -> None:
    async with serving_api(settings) as (client, services):
        # with a live worker's rate, the client is told to wait for a second only
        await Roster(queue.shards.first).write(heartbeat(items_per_second=100.0))
        await client.post("/v1/jobs", json={"model": MODEL, "inputs": "first"})
        url = str(client.base_url)
        asking = asyncio.create_task(clients.call("openai_sdk:embed", url=url, **REQUEST))

        async def refused() -> bool:
            return counted(services, "batchline_requests_refused_total", reason="queue-full") > 0

        await until(refused)
        await run_one(queue, VECTOR)
        await parked(services)
        await run_one(queue, VECTOR)
        found = await asking
        assert [each["embedding"] for each in found["data"]] == [[0.5]]


async def test_what_would_fail_again_is_not_tried_again(
    queue: JobQueue, settings: Settings, clients: ClientProcess
) -> None:
    async with serving_api(settings) as (client, services):
        call = clients.call("openai_sdk:embed", url=str(client.base_url), **REQUEST)
        asking = asyncio.create_task(call)
        await parked(services)
        failure = {"type": "urn:batchline:problem:engine-died", "title": "", "detail": "it died"}
        await run_one(queue, [{"error": failure}])
        with pytest.raises(ClientRaised, match="it died") as raised:
            await asking
        assert (raised.value.kind, raised.value.status) == ("InternalServerError", 500)
        assert counted(services, "batchline_jobs_submitted_total", model=MODEL) == 1


async def test_a_job_that_takes_too_long_is_not_sent_again(
    queue: JobQueue, settings: Settings, clients: ClientProcess
) -> None:
    async with serving_api(settings.model_copy(update={"max_wait": 0.01})) as (client, services):
        with pytest.raises(ClientRaised, match="read it with GET /v1/jobs/") as raised:
            await clients.call("openai_sdk:embed", url=str(client.base_url), **REQUEST)
        assert raised.value.status == 504
        assert counted(services, "batchline_jobs_submitted_total", model=MODEL) == 1
