"""`python -m bench.spread`: how evenly jobs wait in several shards, and how well their order holds.

Jobs of three priorities arrive as a Poisson process through several API processes. Several workers claim
them, each like a model that takes COST seconds for a job and runs BATCH jobs one after the other. All are
coroutines of this process, on one plain server, so what is measured is the order of the claims. Times are the
server's.

- wait: milliseconds from submit to claim; of all jobs, and the lowest and highest of the shards' medians and
  95th percentiles.
- overtaken: share of jobs that were claimed while a more urgent one (with a lower score) had waited for at
  least SEEN in another shard, and by how much more urgent it was: the difference of the scores, in ms.
"""

import argparse
import asyncio
import bisect
import random
import statistics
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench import machine
from jobs.ledger.claims import Claims
from jobs.ledger.leasing import Claimed
from jobs.ledger.ledger import Ledger
from jobs.ledger.rounds import Rounds
from jobs.ledger.shards import Shards
from jobs.schema import Job, NewJob
from jobs.settings import Settings
from jobs.store.store import open_store
from tests import valkey
from tests.ledger import MODEL, with_results

APIS, WORKERS = 4, 4
COST = 0.025
BATCH = 8
SHARES = {"high": 10, "normal": 60, "low": 30}
HEAD_START = 1.0
"""Seconds. Shorter than by default, so that priorities and age mix within a run."""
SEEN = 5.0
"""Milliseconds for which a job must have waited to count as overtaken."""
RESULTS = b'[{"output":"POSITIVE"}]'


class Ran(NamedTuple):
    """One job. Times in Unix ms by the server's clock."""

    shard: int
    priority: str
    score: int
    submitted: float
    claimed: float


async def measure(shards: int, load: float, seconds: float) -> list[Ran]:
    """Runs jobs for `seconds` at `load` times the workers' capacity."""
    with TemporaryDirectory() as folder, valkey.running(Path(folder)) as server:
        settings = Settings(
            redis_url=server.url(), shards=shards, head_start=HEAD_START, max_queued_jobs=10**7
        )
        stores = [open_store(settings) for _ in range(APIS + WORKERS)]  # each process has its own connections
        try:
            everyone = [Shards(store, settings, [MODEL]) for store in stores]
            for each in everyone:
                await each.grow()
            ledgers, workers = [Ledger(each) for each in everyone[:APIS]], everyone[APIS:]
            submitted: list[tuple[str, Job]] = []
            claimed: dict[str, Claimed] = {}
            over = asyncio.Event()
            working = [asyncio.create_task(_work(own, claimed, over)) for own in workers]
            await _arrive(ledgers, submitted, load * WORKERS / COST, seconds)
            over.set()
            await asyncio.gather(*working)
            return [
                Ran(ran.shard, priority, ran.score, job.created_at.timestamp() * 1000, ran.claimed_ms)
                for priority, job in submitted
                for ran in [claimed[job.id]]
            ]
        finally:
            await asyncio.gather(*(store.aclose() for store in stores))


async def _arrive(
    ledgers: list[Ledger], submitted: list[tuple[str, Job]], rate: float, seconds: float
) -> None:
    chance = random.Random(1)
    begun = time.monotonic()
    due, pending = begun, set()

    async def submit(ledger: Ledger, priority: str) -> None:
        new = NewJob(MODEL, "A fine film.", 1, {}, priority, None)  # type: ignore[arg-type]
        submitted.append((priority, (await ledger.submit(new))[0]))

    while due < begun + seconds:
        due += chance.expovariate(rate)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        [priority] = chance.choices(list(SHARES), list(SHARES.values()))
        pending.add(task := asyncio.create_task(submit(chance.choice(ledgers), priority)))
        task.add_done_callback(pending.discard)
    await asyncio.gather(*pending)


async def _work(shards: Shards, ran: dict[str, Claimed], over: asyncio.Event) -> None:
    rounds, left = Rounds(shards, MODEL), 0
    async with asyncio.TaskGroup() as finishing:  # beside the next claim, as in a worker
        while True:
            claimed, left = await rounds.claim(BATCH, wait=0.0 if left else 0.5)
            ran |= {job.id: job for job in claimed}
            if not claimed and over.is_set():
                break
            await asyncio.sleep(COST * len(claimed))
            finishing.create_task(_finish(shards, claimed))
    await rounds.close()


async def _finish(shards: Shards, claimed: list[Claimed]) -> None:
    by_shard: dict[int, list[Claimed]] = defaultdict(list)
    for job in claimed:
        by_shard[job.shard].append(job)
    for number, jobs in by_shard.items():
        await Claims(shards[number]).finish(MODEL, [with_results(job, RESULTS, 1) for job in jobs])


def inversions(ran: list[Ran]) -> list[float]:
    """Returns for each job that overtook a more urgent one by how many ms, sorted."""
    found = []
    waiting: list[tuple[int, float]] = []  # score, claim; of the jobs that had waited for SEEN, by score
    arrivals = sorted(ran, key=lambda job: job.submitted)
    arrived = 0
    for job in sorted(ran, key=lambda job: (job.claimed, job.score)):
        while arrived < len(arrivals) and arrivals[arrived].submitted <= job.claimed - SEEN:
            bisect.insort(waiting, (arrivals[arrived].score, arrivals[arrived].claimed))
            arrived += 1
        while waiting and waiting[0][1] < job.claimed:
            waiting.pop(0)
        first = next((each for each in waiting if each[1] > job.claimed), None)
        if first and first[0] < job.score:
            found.append(float(job.score - first[0]))
    return sorted(found)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def line(shards: int, ran: list[Ran]) -> str:
    by_shard: dict[int, list[float]] = defaultdict(list)
    by_priority: dict[str, list[float]] = defaultdict(list)
    for job in ran:
        by_shard[job.shard].append(job.claimed - job.submitted)
        by_priority[job.priority].append(job.claimed - job.submitted)
    medians = [statistics.median(each) for each in by_shard.values()]
    late = [percentile(each, 0.95) for each in by_shard.values()]
    waits = "".join(
        f"{statistics.median(by_priority[each]):7.0f}{percentile(by_priority[each], 0.95):6.0f}"
        for each in SHARES
    )
    found = inversions(ran)
    of_shards = f"{min(medians):5.0f}..{max(medians):<5.0f} {min(late):5.0f}..{max(late):<5.0f}"
    by = f"{percentile(found, 0.5):7.0f}{percentile(found, 0.95):7.0f}"
    return f"{shards:6}{len(ran):7}{waits}   {of_shards}{len(found) / len(ran):8.1%}{by}"


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.spread")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each run (default: 15)")
    parser.add_argument("--rounds", type=int, default=1, help="(default: 1)")
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 4, 16], help="(default: 1 4 16)")
    given = parser.parse_args()
    about = machine.describe()
    print(f"{about['cpu']}, {about['cores']} cores; load before: {about['load before']}")
    print(
        f"{'':13}{'ms of waiting, median and p95':^39}   {'lowest..highest of shards':^24}"
        f"{'overtaken':>10}\n"
        f"{'shards':>6}{'jobs':>7}"
        + "".join(f"{each:>13}" for each in SHARES)
        + f"   {'median':^12} {'p95':^11}"
        f"{'of jobs':>8}{'by':>7}{'p95':>7}"
    )
    for load in (0.8, 1.3):
        print(f"{load:.0%} of the workers' capacity")
        for _ in range(given.rounds):
            for shards in given.shards:
                print(line(shards, await measure(shards, load, given.seconds)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
