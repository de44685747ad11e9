"""Large results over HTTP: the same bytes as ever, read once for all that want them, counted and bounded."""

import asyncio
from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis

from api.edge import memory_budget
from api.v1.replies import reply
from api.waiting import large_results
from jobs.ledger.reading import SLICE
from jobs.settings import Settings
from tests.api.api_process import Edge, mounted, parked, serving
from tests.jobs.ledger.test_queue import new_job
from tests.ledger import MODEL, JobQueue, ending, run_one
from tests.waiting import until

MIB = 1024 * 1024
PLAIN = {"accept-encoding": "identity"}
"""Asks for answers that are not compressed; those are in `tests/api/edge/test_compression.py`."""


def results_of(size: int) -> list[dict[str, Any]]:
    return [{"output": f'{number:01000d}"é'} for number in range(size // 1017)]


async def ended(queue: JobQueue, size: int = 3 * MIB, key: str | None = None) -> str:
    job, _ = await queue.submit(new_job(), idempotency_key=key)
    await run_one(queue, results_of(size))
    return job.id


async def slices(redis: ArqRedis) -> int:
    """Slices that the server was ever asked for, by clients and scripts."""
    stats = await redis.info("commandstats")
    return int(stats.get("cmdstat_getrange", {"calls": 0})["calls"])


async def test_a_large_job_reads_as_if_it_were_small(settings: Settings, queue: JobQueue) -> None:
    job_id = await ended(queue)
    whole = await queue.read(job_id, 64 * MIB)
    async with mounted(settings) as (client, _):
        client.headers.update(PLAIN)
        got = await client.get(f"/v1/jobs/{job_id}")
        assert got.content == reply(whole).body
        assert got.headers["content-length"] == str(len(got.content))
        assert (await client.delete(f"/v1/jobs/{job_id}")).content == got.content
        assert (await client.get(f"/v1/jobs/{job_id}?wait=5")).content == got.content
        results = await client.get(f"/v1/jobs/{job_id}/result")
        assert results.content == b'{"results":' + bytes(whole.results) + b"}"  # type: ignore[arg-type]
        events = (await client.get(f"/v1/jobs/{job_id}/events")).text
        assert f"\nevent: succeeded\ndata: {got.text}\n\n" in events
        listed = (await client.get("/v1/jobs")).json()["jobs"]
        assert listed == [got.json() | {"results": None}]
        page = (await client.get(f"/jobs/{job_id}", headers={"accept": "text/html"})).text
        assert "the job as JSON" in page


async def test_a_head_request_has_the_length_alone(settings: Settings, queue: JobQueue) -> None:
    job_id = await ended(queue)
    async with serving(settings) as (client, _):
        client.headers.update(PLAIN)
        got = await client.get(f"/v1/jobs/{job_id}")
        head = await client.head(f"/v1/jobs/{job_id}")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(got.content)))


async def test_a_replayed_submit_has_the_large_results(settings: Settings, queue: JobQueue) -> None:
    async with mounted(settings) as (client, _):
        send = {"json": {"inputs": "x"}, "headers": {"idempotency-key": "k"}}
        job_id = (await client.post("/v1/jobs", **send)).json()["id"]  # type: ignore[arg-type]
        await run_one(queue, results_of(MIB))
        again = await client.post("/v1/jobs", **send)  # type: ignore[arg-type]
        assert again.content == (await client.get(f"/v1/jobs/{job_id}")).content
        assert again.json()["results"] == results_of(MIB)


async def test_all_that_wait_for_a_job_share_one_read(
    settings: Settings, queue: JobQueue, redis: ArqRedis
) -> None:
    async with serving(settings) as (client, services):
        job_id = (await client.post("/v1/jobs", json={"inputs": "x"})).json()["id"]
        waits = [asyncio.create_task(client.get(f"/v1/jobs/{job_id}?wait=60")) for _ in range(20)]
        await parked(services, 20)
        [claimed], _ = await queue.claim(MODEL, 1)
        end = ending(claimed, results_of(5 * MIB))
        before = await slices(redis)
        await queue.finish(MODEL, [end])
        answers = await asyncio.gather(*waits)
        assert {answer.json()["status"] for answer in answers} == {"succeeded"}
        assert len({answer.content for answer in answers}) == 1
        assert answers[0].json()["results"] == results_of(5 * MIB)
        once = 5 * MIB // SLICE + 1 + 1 + 2 * 2  # slices, what is behind them, and a record cut twice
        assert await slices(redis) - before <= 2 * once, (
            "a few may have come when the first had been answered"
        )


async def test_results_whose_lifetime_ends_half_way_are_gone(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await ended(queue)
    async with mounted(settings) as (client, services):
        getrange = services.store.events.getrange

        async def last(key: str, start: int, end: int) -> Any:
            part = await getrange(key, start, end)
            await services.store.events.delete(key)
            return part

        monkeypatch.setattr(services.store.events, "getrange", last)
        answer = await client.get(f"/v1/jobs/{job_id}/result")
        assert (answer.status_code, answer.json()["type"]) == (410, "urn:batchline:problem:job-gone")


async def test_different_results_share_the_budget_in_turn(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is being read the other waits for room, and is refused when it waits too long."""
    monkeypatch.setattr(large_results, "MEMORY_SECONDS", 0.1)
    first, second = [await ended(queue) for _ in range(2)]
    async with mounted(settings.model_copy(update={"memory_budget": 4 * MIB})) as edge:
        client, services = edge
        held = await services.large.of(await services.ledger.read(first, sees=None))
        assert services.budget.held == held.size
        refused = await client.get(f"/v1/jobs/{second}")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert (await client.get(f"/v1/jobs/{first}")).status_code == 200, "it counts once"
        assert services.budget.held == held.size
        monkeypatch.setattr(large_results, "MEMORY_SECONDS", 60.0)
        del held
        assert (await client.get(f"/v1/jobs/{second}")).status_code == 200
        await nothing_held(edge)


async def test_large_results_leave_room_for_request_bodies(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_results, "MEMORY_SECONDS", 60.0)
    ids = [await ended(queue) for _ in range(3)]
    async with mounted(settings.model_copy(update={"memory_budget": 10 * MIB})) as (client, services):
        held = [await services.large.of(await services.ledger.read(job_id, sees=None)) for job_id in ids[:2]]
        third = asyncio.create_task(client.get(f"/v1/jobs/{ids[2]}"))
        submitted = await client.post("/v1/jobs", json={"inputs": ["x" * 1000] * 900})
        assert submitted.status_code == 202
        del held
        assert (await third).status_code == 200


async def test_one_larger_than_the_budget_is_read_alone(settings: Settings, queue: JobQueue) -> None:
    job_id = await ended(queue)
    async with mounted(settings.model_copy(update={"memory_budget": MIB})) as (client, _):
        assert (await client.get(f"/v1/jobs/{job_id}")).json()["results"] == results_of(3 * MIB)


@pytest.mark.parametrize("path", ["", "/result", "/events"])
async def test_a_client_that_stalls_gives_way(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Its answer breaks off before its announced end, so that nobody takes it for a whole one."""
    monkeypatch.setattr(memory_budget, "STALL_SECONDS", 0.1)
    first, second = [await ended(queue, 24 * MIB) for _ in range(2)]
    async with serving(settings.model_copy(update={"memory_budget": 32 * MIB})) as edge:
        client, _ = edge
        client.headers.update(PLAIN)
        async with client.stream("GET", f"/v1/jobs/{first}{path}") as stalled:
            assert stalled.status_code == 200
            answer = await client.get(f"/v1/jobs/{second}")
            assert answer.json()["results"] == results_of(24 * MIB)
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                async for _ in stalled.aiter_raw():
                    pass
        await nothing_held(edge)


async def nothing_held(edge: Edge) -> None:
    async def none() -> bool:
        return edge[1].budget.held == 0

    await until(none)


async def test_a_client_that_hangs_up_lets_go_of_the_results(settings: Settings, queue: JobQueue) -> None:
    job_id = await ended(queue, 24 * MIB)
    async with serving(settings) as edge:
        async with edge[0].stream("GET", f"/v1/jobs/{job_id}") as stream:
            assert stream.status_code == 200
            assert edge[1].budget.held > 0
        await nothing_held(edge)


async def test_other_requests_come_in_between_the_pieces() -> None:
    """However many clients read fast, so that no connection ever makes its answer wait."""
    room, turns = memory_budget.Budget(1024 * MIB), asyncio.Semaphore(large_results.PIECES_PER_TURN)
    held = large_results.HeldResults("id", bytearray(8 * MIB), room, turns)
    sent = 0

    async def read() -> None:
        nonlocal sent
        async for piece in held.pieces():
            sent += len(piece)

    readers = [asyncio.create_task(read()) for _ in range(50)]
    while not all(reader.done() for reader in readers):
        before = sent
        await asyncio.sleep(0)
        assert sent - before <= 2 * large_results.PIECES_PER_TURN * large_results.PIECE
    assert sent == 50 * 8 * MIB
