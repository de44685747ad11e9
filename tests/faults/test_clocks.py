"""Wall clocks of workers and APIs an hour fast or slow: nothing is early or late; Redis' clock decides."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import processes
from tests.faults.clients import nonces
from tests.faults.scenario import scenario
from tests.faults.stack import Stack, listens
from tests.gate import Gate
from tests.waiting import until

HOUR = 3600.0
LEASE = 8.0
"""The default: a worker that stalls for a few seconds does not lose one."""
BACK = LEASE + 40.0
"""Seconds within which a dead worker's jobs run again, on a machine that may stall."""


async def post(url: str, text: str, **fields: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(f"{url}/v1/jobs", json={"inputs": text, **fields})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


async def get(url: str, path: str) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(url + path)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def begun(stack: Stack) -> bool:
    return bool(stack.runs())


def about_now(moment: str) -> bool:
    return abs((datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()) < 120


async def listed(url: str) -> list[str]:
    """The ids of all jobs in the listing, page by page."""
    ids: list[str] = []
    path = "/v1/jobs?limit=100"
    while True:
        page = await get(url, path)
        ids += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            return ids
        path = f"/v1/jobs?limit=100&cursor={page['next']}"


async def test_clocks_two_hours_apart(tmp_path: Path) -> None:
    """Two workers and two APIs share a load: nothing runs twice, all are listed, all times are right."""
    model = {"max_batch_items": 4, "options": {"seconds": 0.05}}
    async with scenario(tmp_path, workers=0, apis=0, model=model) as run:
        stack, clients = run.stack, run.clients
        clocks = (HOUR, -HOUR)
        clients.urls = [stack.start_api(clock=clock) for clock in clocks]
        for url in clients.urls:
            await until(partial(listens, url))
        workers = [stack.start_worker(clock=clock) for clock in clocks]
        for worker in workers:
            await until(partial(stack.ready, worker))

        began = time.monotonic()
        await clients.submit(*nonces(150))

        async def shared() -> bool:
            """Whether each worker has run a fair number of the jobs; one may stall during the first."""
            shares = Counter(execution.engine for execution in stack.runs())
            if len(shares) == 2 and min(shares.values()) >= 30:
                return True
            await clients.submit(*nonces(10))
            return False

        await until(shared)
        jobs = await run.check()
        assert len(stack.runs()) == len(jobs)
        assert {job["attempts"] for job in jobs.values()} == {1}
        assert clients.failures == {}
        created = {job["id"]: datetime.fromisoformat(job["created_at"]) for job in jobs.values()}
        for url in clients.urls:
            ids = await listed(url)
            assert sorted(ids) == sorted(clients.accepted.values())
            times = [created[job_id] for job_id in ids]
            assert times == sorted(times, reverse=True), "though half of the ids are of two hours before"
        seconds = 1000 * (time.monotonic() - began)
        for job in jobs.values():
            assert all(about_now(job[name]) for name in ("created_at", "started_at", "finished_at"))
            assert 0 <= job["timings"]["queued_ms"] <= job["timings"]["total_ms"] <= seconds


FAST_AND_SLOW = pytest.mark.parametrize(
    "clock", [pytest.param(HOUR, id="fast"), pytest.param(-HOUR, id="slow", marks=pytest.mark.thorough)]
)
"""Error of one process's clock; the others' clocks are wrong by the same time in the other direction."""


@FAST_AND_SLOW
async def test_deadlines(tmp_path: Path, gate: Gate, clock: float) -> None:
    """A job may wait for minutes and does; one that may wait for 1 s expires; in the queue and a window."""
    async with scenario(tmp_path, workers=0, apis=0, model={"max_batch_items": 1}) as run:
        stack, accepted = run.stack, run.clients.accepted
        url = await stack.api(clock=-clock)
        run.clients.urls = [url]
        short, held, patient, later = nonces(4)

        without_worker = await post(url, short, expires_in=1)
        accepted[f"{held} {gate.text}"] = (await post(url, f"{held} {gate.text}", expires_in=600))["id"]
        expired = await get(url, f"/v1/jobs/{without_worker['id']}?wait=30")
        check_expired(expired)

        await stack.worker(clock=clock)
        await until(partial(begun, stack))
        accepted[patient] = (await post(url, patient, expires_in=600))["id"]
        in_a_window = await post(url, short, expires_in=1)
        accepted[later] = (await post(url, later))["id"]

        async def all_claimed() -> bool:
            return (await stack.queue.depth())["sentiment"].waiting == 0

        await until(all_claimed)
        # its time must run out meanwhile, also for a worker that got the claim's answer late
        await asyncio.sleep(5)
        gate.open()
        jobs = await run.check()
        check_expired(await get(url, f"/v1/jobs/{in_a_window['id']}"))
        assert stack.executions() == {held: 1, patient: 1, later: 1}, "what expired did not run"
        assert {job["attempts"] for job in jobs.values()} == {1}


def check_expired(job: dict[str, Any]) -> None:
    assert job["status"] == "expired"
    assert job["attempts"] == 0
    assert about_now(job["created_at"])
    waited = job["timings"]["total_ms"] / 1000
    assert 1 <= waited < 120


@FAST_AND_SLOW
async def test_leases(tmp_path: Path, gate: Gate, clock: float) -> None:
    """A lease is renewed beyond its length with any clock. It expires when its holder dies."""
    async with scenario(tmp_path, workers=0, apis=0, lease=LEASE) as run:
        stack = run.stack
        run.clients.urls = [await stack.api(clock=-clock)]
        victim = await stack.worker(clock=clock)
        await run.clients.submit(f"{nonces(1)[0]} {gate.text}")
        await until(partial(begun, stack))
        await stack.worker(clock=-clock)
        await asyncio.sleep(1.5 * LEASE)  # nobody may take it back meanwhile
        assert len(stack.runs()) == 1
        assert [beat.lost_leases for beat in await stack.beats()] == [0, 0]

        killed = time.monotonic()
        processes.kill_tree(victim.pid)
        gate.open()
        [job] = (await run.check()).values()
        first, again = stack.runs()
        assert first.engine != again.engine
        assert again.at - killed < BACK
        assert job["attempts"] == 2
