"""Redis dies, hangs, is partitioned, loses connections and answers, is slow, is full; always under load."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.faults.clients import nonces
from tests.faults.scenario import Scenario, scenario
from tests.faults.stack import Stack
from tests.gate import Gate
from tests.waiting import until

BATCH = 4
MODEL = {"max_batch_items": BATCH, "options": {"seconds": 0.02}}
JOBS = 300


async def ran(stack: Stack, times: int) -> bool:
    return len(stack.runs()) >= times


@asynccontextmanager
async def load(run: Scenario, jobs: int = JOBS) -> AsyncIterator[None]:
    """During the block clients submit jobs; some jobs have been run, but not all."""
    submitting = asyncio.create_task(run.clients.submit(*nonces(jobs)))
    try:
        await until(partial(ran, run.stack, jobs // 10))
        assert not await ran(run.stack, jobs), "it begins in the middle of the load"
        yield
        await submitting
    finally:
        submitting.cancel()
        await asyncio.gather(submitting, return_exceptions=True)


async def lost_and_refused(stack: Stack) -> tuple[int, int]:
    """Lost leases and refused results, as reported by the workers."""
    beats = await stack.beats()
    return sum(beat.lost_leases for beat in beats), sum(beat.refused_results for beat in beats)


def survived(stack: Stack) -> bool:
    """Whether all started processes still run."""
    return all(process.poll() is None for process in (*stack.workers, *stack.apis.values()))


async def test_killed_and_restarted_on_its_file(tmp_path: Path) -> None:
    async with scenario(tmp_path, model=MODEL) as run:
        async with load(run):
            run.stack.server.kill()
            run.stack.server.start()
        jobs = await run.check()
        assert len(jobs) == JOBS
        assert run.stack.executions().total() == JOBS, "what was claimed stayed claimed"
        assert survived(run.stack)


@pytest.mark.parametrize("submitting", [False, pytest.param(True, marks=pytest.mark.thorough)])
async def test_stopped_for_as_long_as_a_lease(tmp_path: Path, gate: Gate, submitting: bool) -> None:
    """All leases run out while nobody can renew them, but nothing runs twice.

    With submits under way it takes a lease longer, because jobs of a claim that arrives too late are not run.
    """
    model = {"max_batch_items": BATCH, "options": {"seconds": 0.2}}
    async with scenario(tmp_path, workers=2, model=model) as run:
        stack = run.stack

        async def all_leased() -> bool:
            return (await stack.queue.depth())["sentiment"].waiting == 0

        @asynccontextmanager
        async def held() -> AsyncIterator[None]:
            """All jobs are leased, and none ends before the gate is opened."""
            await run.clients.submit(*(f"{nonce} {gate.text}" for nonce in nonces(200)))
            await until(all_leased)
            yield

        async with load(run, 200) if submitting else held():
            parked = asyncio.create_task(run.clients.ended())
            leased = (await stack.queue.depth())["sentiment"].running
            assert leased > 2 * BATCH, "many, and not only those that run"
            stack.server.signal(signal.SIGSTOP)
            gate.open()
            await asyncio.sleep(8.0)  # the default lease, which this test is about
            stack.server.signal(signal.SIGCONT)
        await parked
        jobs = await run.check()
        assert len(jobs) == 200
        assert run.stack.executions().total() == 200
        assert await lost_and_refused(run.stack) == (0, 0)
        assert survived(run.stack)


async def test_the_network_in_two_parts_for_longer_than_a_lease(tmp_path: Path) -> None:
    """A partitioned worker continues. Another takes its jobs over, and its results come too late."""
    # a lease that a worker does not lose by a stall of its own
    lease = {"lease": 6.0, "renew_every": 1.5}
    async with scenario(tmp_path, model={**MODEL, "options": {"seconds": 0.1}}, **lease) as run:
        stack = run.stack

        async def taken_over() -> bool:
            return max(stack.executions().values()) > 1

        async def refused() -> bool:
            return (await lost_and_refused(stack))[1] > 0

        async with load(run, 100):
            stack.proxy.part()
            await stack.worker(redis_url=stack.server.url())
            await until(taken_over)
            stack.proxy.heal()
        jobs = await run.check()
        assert len(jobs) == 100
        await until(refused)  # the late results, which a heartbeat tells
        assert max(stack.executions().values()) <= 2
        assert max(job["attempts"] for job in jobs.values()) <= 2
        assert survived(stack)


@pytest.mark.parametrize(
    "resets", [20, pytest.param(200, marks=[pytest.mark.thorough, pytest.mark.timeout(300)])]
)
async def test_connections_reset_or_half_closed_at_random_moments(tmp_path: Path, resets: int) -> None:
    chance = random.Random(resets)
    count = 10 * resets
    # with the default lease: on a busy machine a short one may run out, and then a job runs again
    async with scenario(tmp_path, workers=2, apis=2, model=MODEL) as run:
        proxy = run.stack.proxy
        async with load(run, count):
            for _ in range(resets):
                await asyncio.sleep(chance.uniform(0.0, 0.1))  # a random moment
                chance.choice((proxy.reset, proxy.half_close))()
        jobs = await run.check()
        assert len(jobs) == count
        assert run.stack.executions().total() == count, "a lost answer makes nothing run twice"
        assert survived(run.stack)


@pytest.mark.parametrize(
    "seconds", [2.0, pytest.param(30.0, marks=[pytest.mark.thorough, pytest.mark.timeout(300)])]
)
async def test_answers_cut_in_the_middle(tmp_path: Path, seconds: float) -> None:
    """Claims, finishes and submits are executed, but their callers do not receive the answers."""
    chance = random.Random(seconds)
    count = int(100 * seconds)
    # with the default lease, as above
    async with scenario(tmp_path, workers=2, apis=2, model=MODEL) as run:
        proxy = run.stack.proxy
        async with load(run, count):
            loop = asyncio.get_running_loop()
            proxy.cut_after, end = 0, loop.time() + seconds
            proxy.reset()
            while loop.time() < end:
                proxy.cut_after = chance.randrange(1, 4_000)
                await asyncio.sleep(0.01)
            proxy.cut_after = None
            proxy.reset()
        jobs = await run.check()
        assert len(jobs) == count
        assert run.stack.executions().total() <= 1.1 * count, "a lease may run out, but seldom does"
        assert max(job["attempts"] for job in jobs.values()) <= 3
        assert survived(run.stack)


async def test_far_away(tmp_path: Path) -> None:
    async with scenario(tmp_path, workers=2, model=MODEL) as run:
        run.stack.proxy.delay = 0.05
        async with load(run, 60):
            pass
        jobs = await run.check()
        assert len(jobs) == 60
        assert run.stack.executions().total() == 60
        assert run.clients.failures == {}
        assert await lost_and_refused(run.stack) == (0, 0)


async def test_memory_full(tmp_path: Path, gate: Gate) -> None:
    """Submits are refused; accepted jobs are claimed, run and finished, and memory grows by their results."""
    async with (
        scenario(tmp_path, model={"max_batch_items": BATCH}) as run,
        httpx.AsyncClient(timeout=30) as client,
    ):
        stack, [api] = run.stack, run.stack.apis
        large = [f"{nonce} many" for nonce in nonces(30)]  # a result of 100 kB each
        await run.clients.submit(f"{nonces(1)[0]} {gate.text}", *large)
        parked = asyncio.create_task(run.clients.ended())
        used = (await stack.redis.info("memory"))["used_memory"]
        await stack.redis.config_set("maxmemory", used + 64 * 1024)

        async def refused() -> bool:
            [nonce] = nonces(1)
            text = f"{nonce} {8_000 * 'x'}"
            answer = await client.post(f"{api}/v1/jobs", json={"inputs": text})
            if answer.status_code == 202:
                run.clients.accepted[text] = answer.json()["id"]
                return False
            assert answer.status_code == 503
            assert answer.json()["type"] == "urn:batchline:problem:redis-unavailable"
            assert answer.headers["retry-after"] == "1"
            return True

        async def ready() -> tuple[bool, str | None]:
            check = (await client.get(f"{api}/health/ready")).json()["checks"]["redis"]
            return check["ok"], check.get("reason")

        await until(refused)
        gate.open()
        await parked
        assert await refused()
        assert await ready() == (
            False,
            "The memory of Redis is full: submits are refused, running jobs still finish",
        )
        assert [beat.pid for beat in await stack.beats()] == [stack.workers[0].pid], "it does not look dead"

        await stack.redis.config_set("maxmemory", 0)
        assert await ready() == (True, None)
        await run.clients.submit(*nonces(10))
        assert run.clients.failures == {}
        await run.check()
        assert survived(stack)
