"""Bad inputs among good ones, through the whole stack: each fails alone, with the right reason."""

import asyncio
import math
import random
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.clients import nonces
from tests.faults.scenario import scenario
from tests.faults.stack import Stack
from worker.scheduling.isolation import MAX_KILLS

BATCH = 4
HALVINGS = 1 + math.ceil(math.log2(BATCH))
"""Number of times that an input runs in a batch that is halved until the input is alone."""
ONE_EVERY = 40

HARMS = {
    "raise": "input-failed",
    "die": "engine-died",
    "hang": "engine-timeout",
    "exhaust": "input-failed",
    "nan": "output-not-encodable",
    "object": "output-not-encodable",
}
"""The problem type with which a job ends, by what its text does."""


def problem(job: dict[str, Any]) -> str:
    [result] = job["results"]
    kind: str = result["error"]["type"]
    return kind.removeprefix("urn:batchline:problem:")


@pytest.mark.attack(
    "inputs of all harmful kinds in one load: they raise, crash, hang, exhaust memory, cannot be encoded",
    held="each fails alone, all others get their outputs",
)
@pytest.mark.parametrize(
    "jobs", [40, pytest.param(800, marks=[pytest.mark.thorough, pytest.mark.timeout(600)])]
)
async def test_every_harm_in_one_load(tmp_path: Path, jobs: int) -> None:
    each = jobs // ONE_EVERY
    bad = {f"{nonce} {harm}": harm for harm in HARMS for nonce in nonces(each)}
    good = nonces(jobs - len(bad))
    load = [*bad, *good]
    random.Random(jobs).shuffle(load)
    # longer than a stall, and than it takes to exhaust the memory
    model = {"max_batch_items": BATCH, "batch_timeout": 6.0, "memory_limit": 512}
    async with scenario(tmp_path, workers=2, model=model) as run:
        await run.clients.submit(*load)
        ended = await run.check(failed=frozenset(bad))
        assert {text: problem(ended[text]) for text in bad} == {
            text: HARMS[harm] for text, harm in bad.items()
        }
        assert {job["attempts"] for job in ended.values()} == {1}
        assert all(worker.poll() is None for worker in run.stack.workers)

        executions = run.stack.executions()
        for text in load:
            times = executions[text.partition(" ")[0]]
            # an engine that died ends the halving: the members of its batch run alone from then on
            # and an input that exhausts memory may also end the engine
            killed_engine = bad.get(text) in ("die", "hang", "exhaust")
            assert 1 <= times <= HALVINGS + (MAX_KILLS - 1 if killed_engine else 0), (text, times)


async def keep_alive(stack: Stack, deaths: Counter[int]) -> None:
    """Restarts the only worker whenever it dies."""
    while True:
        status = await asyncio.to_thread(stack.workers[-1].wait)
        deaths[status] += 1
        stack.start_worker()


@pytest.mark.parametrize("attempts", [3, pytest.param(10, marks=pytest.mark.thorough)])
async def test_an_input_that_kills_the_worker(tmp_path: Path, attempts: int) -> None:
    """It fails after its maximum of attempts and never comes back; its neighbours lose one attempt."""
    # a lease that outlives a stall: none but the killer's may cost its neighbours an attempt
    settings = {"lease": 4.0, "renew_every": 0.5, "max_attempts": attempts}
    # the first time, it may kill before it is charged; from the second start on it is charged first
    model = {"max_batch_items": BATCH, "options": {"seconds": 0.0}}
    async with scenario(tmp_path, model=model, **settings) as run:
        stack, clients = run.stack, run.clients
        [killer], neighbours = [f"{nonce} kill the worker" for nonce in nonces(1)], nonces(20)
        deaths: Counter[int] = Counter()
        restarting = asyncio.create_task(keep_alive(stack, deaths))
        try:
            await clients.submit(*neighbours[:10], killer, *neighbours[10:])
            jobs = await run.check(failed=frozenset({killer}))
            assert problem(jobs[killer]) == "attempts-exhausted"
            assert jobs[killer]["attempts"] == attempts
            executions = stack.executions()
            killed = executions[killer.partition(" ")[0]]
            assert deaths == {-signal.SIGKILL: killed}
            assert attempts <= killed <= attempts + 1
            for text in neighbours:
                assert jobs[text]["attempts"] <= 2, "alone from the second time on"
                assert executions[text] <= 3

            await clients.submit(*nonces(10))
            await run.check(failed=frozenset({killer}))
            assert deaths.total() == killed, "it never comes back"
        finally:
            restarting.cancel()
            with suppress(asyncio.CancelledError):
                await restarting
