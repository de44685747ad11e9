"""`python -m bench.depth`: measures whether calls slow down in a long queue, and the memory of a waiting job.

Uses two servers with an append-only file, one with FEW waiting jobs and one with MANY. Each call is timed on
one server and then on the other, so that other load affects both. The depth is restored after each call.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import machine
from jobs.ledger import keys
from jobs.schema import NewJob
from jobs.settings import Settings
from jobs.store.connection import connect
from tests import valkey
from tests.ledger import JobQueue

FEW, MANY = 100, 100_000
CLAIM = 32
"""Jobs in one claim."""
MODEL = "sentiment"
JOB = NewJob(
    MODEL, "It is a film that one can see twice and still find something new in.", 1, {}, "normal", None
)

Timed = Callable[[JobQueue], Awaitable[float]]


async def submit(queue: JobQueue) -> float:
    began = time.perf_counter()
    job, _ = await queue.submit(JOB)
    took = time.perf_counter() - began
    await queue.cancel(job.id)
    return took


async def claim(queue: JobQueue) -> float:
    began = time.perf_counter()
    claimed, _ = await queue.claim(MODEL, CLAIM)
    took = time.perf_counter() - began
    assert len(claimed) == CLAIM
    await queue.release(MODEL, [(job, 0) for job in claimed])
    return took


async def read(queue: JobQueue) -> float:
    """Times reading a job in the middle of the queue, which includes finding its position."""
    half = (await queue.depth())[MODEL].waiting // 2
    [middle] = await queue.redis.zrange(keys.QUEUE.of(MODEL), half, half)
    began = time.perf_counter()
    await queue.read(middle.decode())
    return time.perf_counter() - began


async def sweep(queue: JobQueue) -> float:
    began = time.perf_counter()
    await queue.sweep(MODEL)
    return time.perf_counter() - began


TIMED: dict[str, Timed] = {"submit": submit, f"claim of {CLAIM}": claim, "read": read, "sweep": sweep}


@asynccontextmanager
async def waiting(folder: Path, jobs: int) -> AsyncIterator[tuple[JobQueue, float]]:
    """Yields a queue with `jobs` waiting jobs, and the bytes of memory per job."""
    with valkey.running(folder) as server:
        settings = Settings(redis_url=server.url(), max_queued_jobs=10**7, max_queued_bytes=2**40)
        redis = connect(settings, connections=32)
        try:
            queue = JobQueue(redis, settings, [MODEL])
            before = await _memory(redis)
            left = iter(range(jobs))

            async def fill() -> None:
                for _ in left:
                    await queue.submit(JOB)

            await asyncio.gather(*(fill() for _ in range(32)))
            yield queue, (await _memory(redis) - before) / jobs
        finally:
            await redis.aclose(close_connection_pool=True)


async def _memory(redis: Any) -> float:
    return float((await redis.info("memory"))["used_memory"])


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.depth")
    parser.add_argument(
        "--times",
        type=int,
        default=1000,
        help="number of times each call is timed on each server (default: 1000)",
    )
    times = parser.parse_args().times
    about = machine.describe()
    print(
        f"{about['cpu']}, {about['cores']} cores, valkey {about['valkey']};"
        f" load before: {about['load before']}"
    )
    async with AsyncExitStack() as exits:
        folders = [Path(exits.enter_context(TemporaryDirectory())) for _ in range(2)]
        shallow, _ = await exits.enter_async_context(waiting(folders[0], FEW))
        deep, memory = await exits.enter_async_context(waiting(folders[1], MANY))
        print(f"{'ms, median':14}{f'{FEW} waiting':>16}{f'{MANY} waiting':>16}{'ratio':>8}")
        for name, timed in TIMED.items():
            pairs = [(await timed(shallow), await timed(deep)) for _ in range(times)]
            few, many = (statistics.median(each) * 1000 for each in zip(*pairs, strict=True))
            print(f"{name:14}{few:16.3f}{many:16.3f}{many / few:8.2f}", flush=True)
        print(f"{memory:.0f} bytes of Redis' memory for each waiting job of one sentence")


if __name__ == "__main__":
    asyncio.run(main())
