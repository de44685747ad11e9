"""The intake: what is the same for every way to submit."""

import asyncio
import gc

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from api.services import Services
from jobs.ledger.ids import new_id
from jobs.monitoring import traces
from jobs.schema import NewJob
from jobs.settings import Settings
from tests.api.api_process import mounted, parked
from tests.ledger import MODEL, JobQueue, run_one
from tests.waiting import until

JOB = {"inputs": "A fine film."}
KEY = {"idempotency-key": "k"}


def form(text: str) -> dict[str, str]:
    return {"text": text, "mode": "lines", "model": MODEL, "nonce": new_id()}


def counted(services: Services) -> tuple[float | None, ...]:
    """Jobs submitted, replayed, and refused by a full queue."""
    value = services.metrics.registry.get_sample_value
    return (
        value("batchline_jobs_submitted_total", {"model": MODEL}),
        value("batchline_jobs_replayed_total"),
        value("batchline_admissions_refused_total", {"model": MODEL, "reason": "jobs"}),
    )


async def test_each_way_to_submit_is_counted_alike(settings: Settings) -> None:
    async with mounted(settings) as (client, services):
        for _ in range(2):
            assert (await client.post("/v1/jobs", json=JOB, headers=KEY)).status_code == 202
        assert counted(services) == (1, 1, 0)
        twice = form("a\nb")
        for _ in range(2):
            assert (await client.post("/submit", data=twice)).status_code == 303
        assert counted(services) == (2, 2, 0)


async def test_each_way_that_finds_the_queue_full_is_counted_alike(settings: Settings) -> None:
    async with mounted(settings.model_copy(update={"max_queued_jobs": 1})) as (client, services):
        assert (await client.post("/v1/jobs", json=JOB)).status_code == 202
        assert (await client.post("/v1/jobs", json=JOB)).status_code == 503
        assert (await client.post("/submit", data=form("a\nb"))).status_code == 503
        assert counted(services) == (1, 0, 2)


async def test_a_request_that_waits_keeps_nothing_of_its_inputs(settings: Settings, queue: JobQueue) -> None:
    """Thousands may wait, each with inputs of megabytes."""
    async with mounted(settings) as (client, services):
        mine = "kept by nobody"  # other tests of this process may keep other jobs
        asking = asyncio.create_task(client.post("/v1/jobs?wait=20", json={"inputs": mine}))
        await parked(services)

        async def nothing_kept() -> bool:
            gc.collect()
            jobs = [kept for kept in gc.get_objects() if type(kept) is NewJob and kept.inputs == mine]
            accepted = (await queue.depth())[MODEL].waiting == 1
            return accepted and not jobs and services.budget.held == 0

        await until(nothing_kept)
        await run_one(queue)
        assert (await asking).status_code == 200


@pytest.mark.parametrize("path", ["/v1/jobs", "/submit"])
async def test_each_way_to_submit_is_traced_alike(settings: Settings, path: str) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    traces.use(provider)
    try:
        async with mounted(settings) as (client, _):
            if path == "/submit":
                assert (await client.post(path, data=form("A fine film."))).status_code == 303
            else:
                assert (await client.post(path, json=JOB)).status_code == 202
    finally:
        traces.use(None)
    assert [span.name for span in spans.get_finished_spans()] == ["submit"]
