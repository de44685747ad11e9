"""Deaths at the worst moments: just before and just after a worker or an API writes to Redis."""

import asyncio
import signal
from functools import partial
from pathlib import Path

import httpx
import pytest

from jobs.ledger import keys
from jobs.process.failpoints import Place
from tests.faults.clients import nonces
from tests.faults.scenario import Scenario, scenario
from tests.faults.stack import Stack, listens
from tests.gate import Gate
from tests.waiting import until

BATCH = 4
QUICK = {"lease": 5.0, "renew_every": 1.0}
"""Shorter leases, but none that a worker loses by a stall: these tests count the attempts, and do not measure
how soon a dead worker's jobs run again."""


async def charged(stack: Stack, ids: list[str], times: int) -> bool:
    return all([(await stack.queue.read(job_id)).attempts == times for job_id in ids])


async def dead(stack: Stack, url: str) -> int:
    return await asyncio.to_thread(stack.apis[url].wait, 30)


@pytest.mark.parametrize(
    ("place", "runs_before", "runs"),
    [
        pytest.param("after_claim", 0, 1, id="leased, not begun"),
        pytest.param("before_finish", 1, 2, id="computed, not written"),
        pytest.param("after_finish", 1, 1, id="written, answer not read"),
    ],
)
async def test_a_worker_dies(tmp_path: Path, gate: Gate, place: Place, runs_before: int, runs: int) -> None:
    """A worker dies with a batch of jobs; in the end each job has the expected runs and charges."""
    # with a budget, what a busy machine measures does not decide who shares the batch
    model = {"max_batch_items": BATCH, "token_budget": 1_000_000}
    async with scenario(tmp_path, workers=0, model=model, **QUICK) as run:
        stack, clients = run.stack, run.clients
        [held], others = [f"{nonce} {gate.text}" for nonce in nonces(1)], nonces(BATCH - 1)
        ids = await clients.submit(held, *others)
        parked = asyncio.create_task(clients.ended())
        victim = stack.start_worker(crash_at=place)
        if runs_before:
            await until(partial(charged, stack, ids, 1))  # the attempt is charged beside the batch
        gate.open()
        assert await asyncio.to_thread(victim.wait, 60) == -signal.SIGKILL
        executions = stack.executions()
        assert [executions[text.split()[0]] for text in (held, *others)] == [runs_before] * BATCH

        stack.workers.remove(victim)
        stack.start_worker()
        await parked
        later = nonces(BATCH)
        await clients.submit(*later)
        jobs = await run.check()
        executions = stack.executions()
        expected = dict.fromkeys((held, *others), runs) | dict.fromkeys(later, 1)
        assert {text: executions[text.split()[0]] for text in expected} == expected
        assert {text: job["attempts"] for text, job in jobs.items()} == expected


@pytest.mark.thorough
@pytest.mark.timeout(300)
@pytest.mark.parametrize("place", ["after_claim", "before_finish", "after_finish"])
async def test_workers_die_at_their_third_time_there_again_and_again(tmp_path: Path, place: Place) -> None:
    deaths = 4
    async with scenario(tmp_path, workers=0, model={"max_batch_items": BATCH}, **QUICK) as run:
        texts = nonces(200)
        await run.clients.submit(*texts)
        for _ in range(deaths):
            victim = run.stack.start_worker(crash_at=f"{place}:3", window_items=8)
            assert await asyncio.to_thread(victim.wait, 60) == -signal.SIGKILL
            run.stack.workers.remove(victim)
        run.stack.start_worker()
        jobs = await run.check()
        # the batches whose answers were on their way, and those that ran meanwhile
        assert run.stack.executions().total() - len(texts) <= deaths * 2 * BATCH
        assert max(job["attempts"] for job in jobs.values()) <= 1 + deaths


async def submit_and_die(run: Scenario, text: str, **headers: str) -> tuple[str, str]:
    """A new API accepts the job and dies before it answers; returns its URL and the job's id."""
    url = await run.stack.api(crash_at="after_submit")
    async with httpx.AsyncClient(timeout=60) as client:
        with pytest.raises(httpx.TransportError):
            await client.post(f"{url}/v1/jobs", json={"inputs": text}, headers=headers)
    assert await dead(run.stack, url) == -signal.SIGKILL
    [[job], _] = await run.stack.queue.recent(2)
    return url, job.id


@pytest.mark.parametrize(
    "restarted",
    [
        pytest.param(False, id="elsewhere", marks=pytest.mark.thorough),
        pytest.param(True, id="at the same port"),
    ],
)
async def test_the_api_dies_and_the_client_retries(tmp_path: Path, restarted: bool) -> None:
    async with scenario(tmp_path, **QUICK) as run:
        stack, clients = run.stack, run.clients
        [text] = nonces(1)
        url, job_id = await submit_and_die(run, text, **{"idempotency-key": text})
        if restarted:
            assert stack.start_api(port=int(url.rpartition(":")[2])) == url
            await until(partial(listens, url))
            clients.urls = [url]
        assert await clients.submit(text) == [job_id], "the same job, not another"
        jobs = await run.check()
        assert jobs[text]["attempts"] == 1
        assert stack.executions() == {text: 1}
        assert await stack.queue.members(keys.RECENT) == 1


async def test_the_api_dies_and_the_client_does_not_retry(tmp_path: Path) -> None:
    async with scenario(tmp_path, **QUICK) as run:
        [text] = nonces(1)
        _, run.clients.accepted[text] = await submit_and_die(run, text)
        jobs = await run.check()
        assert jobs[text]["attempts"] == 1
        assert run.stack.executions() == {text: 1}
