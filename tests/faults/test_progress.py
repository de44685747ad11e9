"""Progress under faults: a reader of a running job sees each outcome once, and the results equal them."""

import asyncio
import json
import random
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.clients import nonces
from tests.faults.killing import What, kill
from tests.faults.scenario import Scenario, scenario
from tests.faults.stack import Stack
from tests.gate import Gate
from tests.waiting import until

QUICK = {"lease": 2.0, "renew_every": 0.5}
"""Shorter leases: these tests do not measure how soon a dead worker's jobs run again."""
LONG_WAIT = 90.0
BATCH = 2
MODEL = {"max_batch_items": BATCH, "options": {"seconds": 0.15}}


class Reader:
    """A client that repeatedly asks for outcomes that it has not read, until it has all."""

    def __init__(self, url: str, inputs: list[str]) -> None:
        self.inputs = inputs
        self.seen: list[dict[str, Any]] = []
        self.job_id = ""
        self._client = httpx.AsyncClient(base_url=url, timeout=30)

    async def submit(self) -> None:
        answer = await self._client.post("/v1/jobs", json={"inputs": self.inputs})
        self.job_id = answer.json()["id"]

    async def read_all(self) -> None:
        while len(self.seen) < len(self.inputs):
            answer = await self._client.get(
                f"/v1/jobs/{self.job_id}/results",
                params={"from": len(self.seen)},
                headers={"accept": "application/x-ndjson"},
            )
            assert answer.status_code == 200, answer.text
            self.seen += map(json.loads, answer.text.splitlines())
            await asyncio.sleep(0.02)

    async def has(self, outcomes: int) -> bool:
        return len(self.seen) >= outcomes

    async def check(self) -> None:
        """Asserts that each outcome was seen once, equals the result, and belongs to its input."""
        job = (await self._client.get(f"/v1/jobs/{self.job_id}?wait=60")).json()
        await self._client.aclose()
        assert sorted(each["index"] for each in self.seen) == list(range(len(self.inputs)))
        for each in self.seen:
            index = each.pop("index")
            assert each == job["results"][index], "what was shown is what came out"
            assert each["output"]["nonce"] == nonce_of(self.inputs[index]), "its own"
        assert job["counts"]["succeeded"] == len(self.inputs)


async def holder(stack: Stack) -> subprocess.Popen[bytes]:
    """The worker that has the job, as reported by the heartbeats."""
    found: list[subprocess.Popen[bytes]] = []

    async def reported() -> bool:
        pids = {beat.pid for beat in await stack.beats() if beat.leases}
        found[:] = [worker for worker in stack.workers if worker.pid in pids]
        return bool(found)

    await until(reported)
    return found[0]


def nonce_of(text: str) -> str:
    return text.partition(" ")[0]


def reader(run: Scenario, inputs: int, gate: Gate | None = None) -> Reader:
    """With a gate the job does not end before it is opened: its last input waits for it."""
    texts = nonces(inputs)
    if gate:
        texts[-1] += f" {gate.text}"
    return Reader(next(iter(run.stack.apis)), texts)


@pytest.mark.parametrize(
    ("inputs", "kills"),
    [(60, 3), pytest.param(600, 12, marks=[pytest.mark.thorough, pytest.mark.timeout(600)])],
)
async def test_kills_in_the_middle_of_a_job(tmp_path: Path, gate: Gate, inputs: int, kills: int) -> None:
    """Each input runs once, except those of batches in a killed process, or not yet noted."""
    chance = random.Random(kills)
    kinds: tuple[What, ...] = ("both", "worker", "engine")
    async with scenario(tmp_path, workers=2, model=MODEL, max_attempts=2 * kills, **QUICK) as run:
        one, stack = reader(run, inputs, gate), run.stack
        await one.submit()
        reading = asyncio.create_task(one.read_all())
        for number in range(kills):
            await until(partial(one.has, (number + 1) * inputs // (kills + 2)))
            victim = await holder(stack)
            await asyncio.sleep(chance.uniform(0.0, 0.2))  # a random moment
            what = kinds[number % len(kinds)]
            await kill(victim, what)
            if what != "engine":
                stack.workers.remove(victim)
                stack.start_worker()
        gate.open()
        await asyncio.wait_for(reading, LONG_WAIT)
        await one.check()
        again = stack.executions().total() - inputs
        # some five batches in the 0.1 s between notes and in a note being sent; two in the engine
        assert again <= kills * 10 * BATCH, "what was noted is not run again"
        await run.nothing_left()


async def test_a_worker_dies_just_after_a_note(tmp_path: Path) -> None:
    """Redis has the note, but its answer is lost: the next worker continues after it."""
    async with scenario(tmp_path, workers=0, model=MODEL, **QUICK) as run:
        one, stack = reader(run, 30), run.stack
        await one.submit()
        victim = stack.start_worker(crash_at="after_note:2")
        reading = asyncio.create_task(one.read_all())
        assert await asyncio.to_thread(victim.wait, 60) == -signal.SIGKILL
        stack.workers.remove(victim)
        before = len((await stack.queue.outcomes(one.job_id, 0)).known or [])
        assert 0 < before < 30
        noted = {one.inputs[each["index"]] for each in await known(run, one)}
        stack.start_worker()
        await asyncio.wait_for(reading, LONG_WAIT)
        await one.check()
        executions = stack.executions()
        assert {executions[nonce] for nonce in noted} == {1}, "what was noted is not run again"


async def known(run: Scenario, one: Reader) -> list[dict[str, Any]]:
    return [json.loads(each) for each in (await run.stack.queue.outcomes(one.job_id, 0)).known or []]


async def test_a_worker_that_was_thought_dead_shows_nothing_more(tmp_path: Path, gate: Gate) -> None:
    """It is stopped until another has its job, and then continued: its notes are refused."""
    async with scenario(tmp_path, workers=2, model=MODEL, **QUICK) as run:
        one, stack = reader(run, 60, gate), run.stack
        await one.submit()
        reading = asyncio.create_task(one.read_all())
        await until(partial(one.has, 4))
        victim = await holder(stack)
        victim.send_signal(signal.SIGSTOP)
        before = (await stack.queue.read(one.job_id)).attempts

        async def taken_over() -> bool:
            return (await stack.queue.read(one.job_id)).attempts > before

        await until(taken_over)
        # as many as two batches, unless it had shown all but the one that waits
        await until(partial(one.has, min(len(one.seen) + 2 * BATCH, len(one.inputs) - BATCH)))
        victim.send_signal(signal.SIGCONT)
        gate.open()
        await asyncio.wait_for(reading, LONG_WAIT)
        await one.check()
