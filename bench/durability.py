"""`python -m bench.durability`: measures each BATCHLINE_DURABLE_SUBMIT on this machine and its disk.

The modes alternate for ROUNDS rounds. Prints medians, and the range of the rate over the rounds.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jobs.schema import NewJob
from jobs.settings import Settings
from jobs.store.connection import connect
from tests import valkey
from tests.ledger import JobQueue
from tests.waiting import until

ROUNDS = 3
SECONDS = 2.0
SUBMITTERS = 64
JOB = NewJob("sentiment", "A wonderful film.", 1, {}, "normal", None)


class Mode(NamedTuple):
    durable: Literal["memory", "disk", "replica"]
    fsync: str
    replicas: int


MODES = (
    Mode("memory", "everysec", 0),
    Mode("memory", "always", 0),
    Mode("disk", "always", 0),
    Mode("memory", "everysec", 1),
    Mode("replica", "everysec", 1),
)


@asynccontextmanager
async def queue(mode: Mode) -> AsyncIterator[JobQueue]:
    """Yields a queue on a new server, whose replica is synchronised."""
    with (
        tempfile.TemporaryDirectory() as own,
        tempfile.TemporaryDirectory() as copy,
        valkey.running(Path(own), appendfsync=mode.fsync, repl_diskless_sync_delay="0") as server,
    ):
        replica = valkey.Server(Path(copy), replicaof=f"127.0.0.1 {server.port}")
        settings = Settings(redis_url=server.url(), durable_submit=mode.durable, max_queued_jobs=10**7)
        redis = connect(settings, connections=SUBMITTERS)

        async def in_step() -> bool:
            replicas: dict[str, Any] = await redis.info("replication")
            return bool(replicas.get("slave0", {}).get("state") == "online")

        try:
            if mode.replicas:
                replica.start()
                await until(in_step)
            yield JobQueue(redis, settings, ["sentiment"])
        finally:
            await redis.aclose(close_connection_pool=True)
            if replica.process:
                replica.kill()


async def measure(mode: Mode) -> tuple[float, float, float]:
    """Returns p50 and p99 of sequential submits in milliseconds, and submits per second of 64 in parallel."""
    async with queue(mode) as submits:
        await submits.submit(JOB)
        took, until = [], time.monotonic() + SECONDS
        while time.monotonic() < until:
            began = time.perf_counter()
            await submits.submit(JOB)
            took.append((time.perf_counter() - began) * 1000)
        counts = await asyncio.gather(*(_submit_for(submits, SECONDS) for _ in range(SUBMITTERS)))
    return statistics.median(took), statistics.quantiles(took, n=100)[98], sum(counts) / SECONDS


async def _submit_for(submits: JobQueue, seconds: float) -> int:
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        await submits.submit(JOB)
        count += 1
    return count


async def main() -> None:
    rounds = [[await measure(mode) for mode in MODES] for _ in range(ROUNDS)]
    print(f"{'durable':8} {'appendfsync':12} {'replicas':8}  one: p50, p99   {SUBMITTERS} in parallel")
    for number, mode in enumerate(MODES):
        p50s, p99s, rates = zip(*(each[number] for each in rounds), strict=True)
        print(
            f"{mode.durable:8} {mode.fsync:12} {mode.replicas:<8}"
            f"  {statistics.median(p50s):.2f}, {statistics.median(p99s):.2f} ms"
            f"   {statistics.median(rates):.0f}/s ({min(rates):.0f} to {max(rates):.0f})"
        )


if __name__ == "__main__":
    asyncio.run(main())
