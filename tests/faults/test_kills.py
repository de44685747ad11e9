"""SIGKILL at random moments, of the engine, the worker, or both: nothing is lost, nothing ends twice."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.faults.clients import nonces
from tests.faults.killing import Kill, What, kill, recoveries
from tests.faults.scenario import scenario
from tests.faults.stack import Stack, engine_of
from tests.gate import Gate
from tests.waiting import until
from tests.worker.conftest import poison_spec
from worker.supervisor.engine import Engine

WORKER_BACK = 40.0
"""Seconds within which a dead worker's jobs run again. On a quiet machine it takes ten: the lease of 8 s, a
sweep, a claim."""
ENGINE_BACK = 30.0
"""Seconds, plus the model's load time, within which a dead engine's inputs run again. On a quiet machine it
takes one."""
LONG = {"lease": 120.0, "renew_every": 10.0}
"""A lease that nobody waits for."""
BATCH = 4
KINDS: tuple[What, ...] = ("engine", "worker", "both")


@pytest.mark.parametrize(
    ("jobs", "kills"),
    [(150, 3), pytest.param(2_000, 20, marks=[pytest.mark.thorough, pytest.mark.timeout(600)])],
)
async def test_kills_at_random_moments(
    tmp_path: Path, jobs: int, kills: int, figure: Callable[[str], None]
) -> None:
    chance = random.Random(kills)
    # a portion takes two seconds, so that it is not over when a process that stalls comes to the kill
    async with scenario(
        tmp_path, workers=2, model={"max_batch_items": BATCH, "options": {"seconds": 0.3}}
    ) as run:
        stack, clients = run.stack, run.clients
        texts = nonces(jobs)
        portion = jobs // kills
        done: list[Kill] = []
        for number in range(kills):
            # do not kill a loading worker: it would exit, and nothing here would restart it
            await until(stack.all_ready)
            victim = chance.choice(stack.workers)
            what = KINDS[number % len(KINDS)]
            before = len(stack.runs())
            submitting = asyncio.create_task(
                clients.submit(*texts[number * portion : (number + 1) * portion])
            )
            await until(partial(begun, stack, before + 1))
            await asyncio.sleep(chance.uniform(0.0, 0.5))  # a random moment
            done.append(await kill(victim, what))
            if what != "engine":
                stack.workers.remove(victim)
                stack.start_worker()
            await submitting
            await clients.ended()  # before the next kill, so that each has only its own delay
        await clients.submit(*texts[kills * portion :])
        await run.check()

        executions = stack.executions()
        assert len(executions) == jobs
        # one batch runs, and one may be computed but not yet answered or written
        assert executions.total() - jobs <= kills * 2 * BATCH, (
            "what ran again is what was in the victims' batches"
        )
        measured = recoveries(stack, done)
        assert measured, "some were hit while they ran something"
        for kind, seconds in measured.items():
            figure(f"{kind} killed: {len(seconds)} inputs ran again, the last after {max(seconds):.2f} s")
            assert max(seconds) < WORKER_BACK


async def begun(stack: Stack, times: int) -> bool:
    return len(stack.runs()) >= times


async def test_a_dead_workers_jobs_run_again_after_a_lease(tmp_path: Path, gate: Gate) -> None:
    """The worker dies in the middle of a batch, and another worker runs the batch again."""
    async with scenario(tmp_path, model={"max_batch_items": BATCH}) as run:
        stack, clients = run.stack, run.clients
        [victim] = stack.workers
        await clients.submit(*(f"{nonce} {gate.text}" for nonce in nonces(1)))
        await until(lambda: begun(stack, 1))
        await stack.worker()
        killed = await kill(victim, "both")
        gate.open()
        await run.check()
        first, again = stack.runs()
        assert first.nonce == again.nonce
        assert again.at - killed.at < WORKER_BACK


async def test_a_dead_engines_inputs_run_again_at_once(tmp_path: Path, gate: Gate) -> None:
    """In a second plus the model's load time, without waiting for the lease."""
    engine = Engine(poison_spec(), None)
    starting = time.monotonic()
    await engine.start()
    load = time.monotonic() - starting
    await engine.kill()
    async with scenario(tmp_path, model={"max_batch_items": BATCH}, **LONG) as run:
        stack, clients = run.stack, run.clients
        await clients.submit(f"{nonces(1)[0]} {gate.text}")
        await until(lambda: begun(stack, 1))
        pid = engine_of(stack.workers[0])
        assert pid is not None
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        await until(lambda: begun(stack, 2))
        gate.open()
        await run.check()
        _, again = stack.runs()
        assert again.at - killed < ENGINE_BACK + load
