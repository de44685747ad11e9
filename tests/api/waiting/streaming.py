"""Running jobs with partial answers, and what clients get of them."""

import asyncio

import httpx
from httpx_sse import EventSource, ServerSentEvent, aconnect_sse

from jobs.ledger.leasing import Claimed
from jobs.ledger.partials import Output
from tests.ledger import MODEL, JobQueue
from tests.waiting import until

PARTS = [Output(0, f"{word}\n", i + 1) for i, word in enumerate(("Es", "war", "einmal", "<b>"))]


async def running(client: httpx.AsyncClient, queue: JobQueue, *, stream: bool = True) -> Claimed:
    answer = await client.post("/v1/jobs", json={"inputs": "x", "stream": stream})
    assert answer.status_code == 202
    [claimed], _ = await queue.claim(MODEL, 1)
    await queue.start([claimed])
    return claimed


def following(client: httpx.AsyncClient, job: Claimed, last_id: str | None = None):  # type: ignore[no-untyped-def]
    headers = {"last-event-id": last_id} if last_id else {}
    return aconnect_sse(client, "GET", f"/v1/jobs/{job.id}/events", headers=headers)


async def collected(source: EventSource) -> list[ServerSentEvent]:
    return [event async for event in source.aiter_sse()]


class Collecting:
    """The events of a stream, as they come."""

    def __init__(self, source: EventSource) -> None:
        self.seen: list[ServerSentEvent] = []
        self._task = asyncio.create_task(self._collect(source))

    async def _collect(self, source: EventSource) -> None:
        async for event in source.aiter_sse():
            self.seen.append(event)

    async def has(self, count: int) -> None:
        """Returns once that many have come."""

        async def enough() -> bool:
            return len(self.seen) >= count

        await until(enough)

    async def all(self) -> list[ServerSentEvent]:
        await self._task
        return self.seen


def names(events: list[ServerSentEvent]) -> list[str]:
    return [event.event for event in events]


def texts(events: list[ServerSentEvent]) -> list[str]:
    return [event.json()["text"] for event in events if event.event == "output"]


async def appended(queue: JobQueue, job: Claimed, length: int = 0) -> int:
    for part in PARTS:
        length = await queue.append(job, length, part)
    return length
