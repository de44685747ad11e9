"""Server-Sent Events over a real socket: each state once, on from the last one seen, freed by a hang-up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent, aconnect_sse

from api.waiting import events
from jobs.ledger.following import Followed, Following
from jobs.ledger.leasing import Progress
from jobs.settings import Settings
from tests.api.api_process import Edge, listening, parked, serving
from tests.ledger import MODEL, JobQueue, ending, run_one


@pytest.fixture
async def edge(settings: Settings) -> AsyncIterator[Edge]:
    async with serving(settings) as edge:
        await listening(edge[1])
        yield edge


async def submitted(client: httpx.AsyncClient) -> str:
    return str((await client.post("/v1/jobs", json={"inputs": "x"})).json()["id"])


async def collected(source: EventSource) -> list[ServerSentEvent]:
    return [event async for event in source.aiter_sse()]


async def test_events_tell_each_state_once_and_end(edge: Edge, queue: JobQueue) -> None:
    client, services = edge
    job_id = await submitted(client)
    async with aconnect_sse(client, "GET", f"/v1/jobs/{job_id}/events") as source:
        assert source.response.headers["cache-control"] == "no-store"
        collecting = asyncio.create_task(collected(source))
        await parked(services)
        await run_one(queue)
        seen = await collecting
    assert [event.event for event in seen] == ["queued", "running", "succeeded"]
    assert [event.id for event in seen] == ["queued.0", "running.0", "succeeded.1"]
    assert [event.json()["status"] for event in seen] == [event.event for event in seen]
    assert seen[-1].json() == (await client.get(f"/v1/jobs/{job_id}")).json()
    await parked(services, 0)


async def test_a_state_that_is_over_already_is_told_too(
    edge: Edge, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, services = edge
    job_id = await submitted(client)
    [claimed], _ = await queue.claim(MODEL, 1)
    async with aconnect_sse(client, "GET", f"/v1/jobs/{job_id}/events") as source:
        stream = source.aiter_sse()
        assert (await anext(stream)).event == "running"
        over = asyncio.Event()

        async def late(job_id: str, watcher: str, **options: Any) -> Followed:
            """Reads once all is over, so that the queued state is known by its event alone."""
            await over.wait()
            return await Following.job(services.ledger.following, job_id, watcher, **options)

        monkeypatch.setattr(services.ledger.following, "job", late)
        await queue.release(MODEL, [(claimed, 0)])
        await queue.cancel(job_id)
        over.set()
        rest = [event async for event in stream]
    assert [event.event for event in rest] == ["queued", "cancelled"]
    assert rest[0].json()["started_at"] is None


async def test_events_go_on_after_the_last_one_seen(edge: Edge, queue: JobQueue) -> None:
    client, services = edge
    job_id = await submitted(client)
    [claimed], _ = await queue.claim(MODEL, 1)
    url, headers = f"/v1/jobs/{job_id}/events", {"last-event-id": "running.0"}
    async with aconnect_sse(client, "GET", url, headers=headers) as source:
        collecting = asyncio.create_task(collected(source))
        await parked(services)
        await queue.finish(MODEL, [ending(claimed)])
        assert [event.event for event in await collecting] == ["succeeded"]

    async with aconnect_sse(client, "GET", url, headers=headers) as source:
        assert [event.event for event in await collected(source)] == ["succeeded"]
    done = await client.get(url, headers={"last-event-id": "succeeded.1"})
    assert done.status_code == 204, "so an EventSource stops coming back"


@pytest.mark.parametrize("path", ["?wait=60", "/events"])
async def test_a_client_that_hangs_up_is_let_go(edge: Edge, path: str) -> None:
    client, services = edge
    job_id = await submitted(client)
    async with httpx.AsyncClient(base_url=client.base_url, timeout=30) as other:
        request = asyncio.create_task(other.get(f"/v1/jobs/{job_id}{path}"))
        await parked(services)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
    await parked(services, 0)


async def test_a_quiet_stream_is_kept_alive(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE", 0.05)
    client, _ = edge
    job_id = await submitted(client)
    async with client.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        lines = answer.aiter_lines()
        seen = [await anext(lines) for _ in range(8)]
    assert seen[:3] == ["retry: 1000", "id: queued.0", "event: queued"]
    assert seen[5:8] == [": keep-alive", "", ": keep-alive"]


async def test_progress_is_an_event_of_its_own(edge: Edge, queue: JobQueue) -> None:
    client, services = edge
    job_id = (await client.post("/v1/jobs", json={"inputs": ["a", "b", "c", "d"]})).json()["id"]
    [claimed], _ = await queue.claim(MODEL, 4)
    await queue.start([claimed])

    async def note(before: int, *indexes: int) -> None:
        outcomes = [b'{"index":%d,"output":1}' % index for index in indexes]
        known = before + len(indexes)
        await queue.note([Progress(job_id, claimed.token, before, known, 0, outcomes)])

    async with aconnect_sse(client, "GET", f"/v1/jobs/{job_id}/events") as source:
        stream = source.aiter_sse()
        seen = [await anext(stream)]
        for before, indexes in ((0, (2, 0)), (2, (1,))):
            await note(before, *indexes)
            seen.append(await anext(stream))
    assert [event.event for event in seen] == ["running", "progress", "progress"]
    assert [event.id for event in seen] == ["running.1", "running.1.2", "running.1.3"]
    assert [event.json()["counts"]["succeeded"] for event in seen] == [0, 2, 3]
    assert {event.json()["status"] for event in seen} == {"running"}

    headers = {"last-event-id": "running.1.2"}
    async with aconnect_sse(client, "GET", f"/v1/jobs/{job_id}/events", headers=headers) as source:
        collecting = asyncio.create_task(collected(source))
        await parked(services)
        await queue.finish(MODEL, [ending(claimed)])
        later = await collecting
    assert [(event.event, event.id) for event in later] == [
        ("progress", "running.1.3"),
        ("succeeded", "succeeded.1"),
    ]
