"""`python -m bench.shares`: measures how owners share a worker, and what sharing costs a single owner.

flood   One owner has many jobs of 1,000 inputs. Another sends one input at a time: its total time, unloaded
        and beside the flood, as the ledger reports it.
owners  2, 10 and 100 owners, each with large jobs or with many small ones: Jain's fairness index of the
        inputs that the engine ran for each of them.
single  Inputs per second of the same flood by a named owner and by the anonymous one, in turn.

The model sleeps COST seconds for each input, so a full batch takes BATCH x COST.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from msgspec.structs import replace

from bench import machine, stack
from bench.costly import Ran, record_of
from bench.errors import BenchError
from bench.overload import MODELS
from jobs.owners import Sender
from jobs.schema import NewJob
from jobs.settings import Settings
from jobs.store.connection import connect
from tests.ledger import JobQueue

MODEL = "costly"
COST = 0.005
BATCH = 16
ROOMY = 2**40
"""Admission must not refuse the flood."""


def job(owner: str, inputs: Sequence[str], **fields: Any) -> NewJob:
    made = NewJob(MODEL, list(inputs), len(inputs), {}, "normal", None)
    return replace(made, sender=Sender(owner), **fields)


class Bench:
    """A running stack, seen from the ledger."""

    def __init__(self, queue: JobQueue, record: Path) -> None:
        self.queue = queue
        self._record = record

    async def flood(self, owner: str, jobs: int, inputs: int) -> list[str]:
        texts = [f"{owner or 'anonymous'} text number {i}" for i in range(inputs)]
        ids: list[str] = []
        for start in range(0, jobs, 64):
            some = min(64, jobs - start)
            made = await asyncio.gather(*(self.queue.submit(job(owner, texts)) for _ in range(some)))
            ids += [each.id for each, _ in made]
        return ids

    async def ended(self, *ids: str, seconds: float = 120.0) -> list[float]:
        """Total milliseconds of jobs, once they have ended."""
        deadline, totals = time.monotonic() + seconds, []
        for job_id in ids:
            while not (found := await self.queue.read(job_id)).status.terminal:
                if time.monotonic() > deadline:
                    raise BenchError(f"{job_id} is still {found.status} after {seconds:g} s")
                await asyncio.sleep(0.005)
            if found.status != "succeeded" or found.timings.total_ms is None:
                raise BenchError(f"a job did not succeed: {found}")
            totals.append(found.timings.total_ms)
        return totals

    async def lone(self, times: int, **fields: Any) -> list[float]:
        """Total milliseconds of lone inputs of another owner, one after the other."""
        totals: list[float] = []
        for i in range(times):
            found, _ = await self.queue.submit(job("lone", [f"lone {i}"], **fields))
            totals += await self.ended(found.id)
            await asyncio.sleep(0.137 * (1 + i % 3) / 2)  # not in step with the batches
        return totals

    async def drop(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), 64):
            await asyncio.gather(*(self.queue.cancel(each) for each in ids[start : start + 64]))

    def ran(self, since: int = 0) -> list[Ran]:
        return record_of(self._record)[since:]


async def measure_flood(bench: Bench, jobs: int, inputs: int, times: int) -> None:
    unloaded = await bench.lone(times)
    ids = await bench.flood("flood", jobs, inputs)
    two_batches = 2 * BATCH * COST * 1000
    bound = 3 * median(unloaded) + two_batches
    print(
        f"unloaded {median(unloaded):.0f} ms; bound: three times that and two batches ({two_batches:g} ms),"
        f" {bound:.0f} ms; beside {jobs:,} jobs of {inputs:,} inputs:"
    )
    for priority in ("high", "normal", "low"):
        loaded = sorted(await bench.lone(times, priority=priority))
        print(
            f"  {priority:8} p50 {median(loaded):5.0f} ms   max {loaded[-1]:5.0f} ms"
            f"   {sum(each <= bound for each in loaded)} of {times} within the bound",
            flush=True,
        )
    await bench.drop(ids)


async def measure_owners(bench: Bench, number: int, inputs: int, seconds: float) -> None:
    ids: list[str] = []
    for i in range(number):
        small = i % 2 == 1
        share = int(3 * seconds / COST / number) + 2 * inputs
        ids += await bench.flood(f"owner{i}", *((share, 1) if small else (share // inputs + 2, inputs)))
    since, began = len(bench.ran()), time.monotonic()
    await asyncio.sleep(seconds)
    served = Counter(name for ran in bench.ran(since) for name in ran.names)
    elapsed = time.monotonic() - began
    shares = [served[f"owner{i}"] for i in range(number)]
    index = sum(shares) ** 2 / (number * sum(each**2 for each in shares))
    batch = sum(shares) / max(1, len(bench.ran(since)))
    print(
        f"{number:4} owners, every second one with jobs of one input: Jain's index {index:.3f}"
        f" over {elapsed:.0f} s; inputs each {min(shares)} to {max(shares)}; batches of {batch:.1f}",
        flush=True,
    )
    await bench.drop(ids)


async def measure_single(bench: Bench, seconds: float, rounds: int) -> None:
    ratios = []
    for _ in range(rounds):
        rates = []
        for owner in ("", "named"):
            ids = await bench.flood(owner, int(2 * seconds / COST / 1_000) + 2, 1_000)
            since, began = len(bench.ran()), time.monotonic()
            await asyncio.sleep(seconds)
            ran = bench.ran(since)
            rates.append(sum(len(each.names) for each in ran) / (time.monotonic() - began))
            await bench.drop(ids)
        ratios.append(rates[1] / rates[0])
        print(f"single owner: {rates[1]:.1f} of {rates[0]:.1f} inputs/s, {ratios[-1]:.3f}", flush=True)
    print(f"median {median(ratios):.3f}")


async def measure(running: stack.Stack, record: Path, given: argparse.Namespace) -> None:
    settings = Settings(
        redis_url=running.redis_url,
        max_queued_jobs=ROOMY,
        max_queued_bytes=ROOMY,
        max_queued_inputs=ROOMY,
    )
    redis = connect(settings)
    bench = Bench(JobQueue(redis, settings, [MODEL]), record)
    try:
        if "single" in given.only:
            await measure_single(bench, given.seconds / 4, 3)
        if "flood" in given.only:
            await measure_flood(bench, given.jobs, 1_000, 20)
        for number in (2, 10, 100) if "owners" in given.only else ():
            await measure_owners(bench, number, 1_000, given.seconds)
    finally:
        await bench.queue.close()
        await redis.aclose(close_connection_pool=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.shares")
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs of the flood (default: 10000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each number of owners (default: 60)")
    parser.add_argument("--only", nargs="+", default=["single", "flood", "owners"])
    given = parser.parse_args()
    about = machine.describe()
    print(f"{about['cpu']}, {about['cores']} cores; load before: {about['load before']}")
    try:
        with TemporaryDirectory() as folder:
            record = Path(folder) / "record"
            models = MODELS.format(cost=COST, record=record, batch=BATCH)
            with stack.running(models) as running:
                asyncio.run(measure(running, record, given))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
