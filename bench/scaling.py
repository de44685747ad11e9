"""`python -m bench.scaling`: compares one worker with two on one queue, each bound to its own core.

A burst of jobs is put into the queue. Its rate is measured from the first start to the last end, according to
the ledger. The first model sleeps, like one that waits for a GPU, so anything missing from twice the rate is
Batchline's cost. The second is all-MiniLM-L6-v2 on one thread; with two cores, the load generator, Redis and
the API share them with it. Runs with one and two workers alternate.
"""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench import machine, stack
from bench.ceiling import model_folder
from bench.costly import record_of
from bench.errors import BenchError
from bench.texts import make_texts
from jobs.monitoring.roster import HEARTBEAT_EVERY, Heartbeat, Roster
from jobs.schema import Job, NewJob
from jobs.settings import Settings
from jobs.store.connection import connect
from tests.ledger import JobQueue, first_shard
from tests.waiting import until

SLEEPING = """\
[models.burst]
pipeline = "bench.costly:Costly"
options = {{ seconds = 0.002, record = "{record}" }}
token_budget = 1000000
"""

EMBEDDING = """\
[models.burst]
task = "feature-extraction"
source = "{source}"
"""


class Burst(NamedTuple):
    rate: float
    """Jobs per second."""
    shares: list[int]
    """Number of jobs of each worker."""
    apart: float | None
    """Milliseconds between the ends of the workers' last batches, if recorded."""


def own_cores(workers: int) -> list[set[int] | None]:
    """Returns one core per worker. Raises BenchError if there are too few."""
    cores = sorted(os.sched_getaffinity(0))[:workers]
    if len(cores) < workers:
        raise BenchError(f"{workers} workers need {workers} cores, one for each")
    return [{core} for core in cores]


def measure(
    models: str, parameters: dict[str, str], cores: Sequence[set[int] | None], jobs: int, record: Path
) -> Burst:
    """Starts a stack with a worker on each of `cores` and runs a burst on it. Raises BenchError."""
    record.unlink(missing_ok=True)
    workers = len(cores)
    with stack.running(models, cores=cores) as running:
        burst = [NewJob("burst", text, 1, parameters, "normal", None) for text in make_texts(jobs)]
        ended, beats = asyncio.run(_burst(running.redis_url, workers, burst))
    if any(job.status != "succeeded" or job.started_at is None for job in ended):
        raise BenchError("a job did not succeed")
    first = min(job.started_at for job in ended if job.started_at)
    last = max(job.finished_at for job in ended if job.finished_at)
    lasts: dict[int, float] = defaultdict(float)
    for ran in record_of(record):
        lasts[ran.engine] = max(lasts[ran.engine], ran.ended)
    apart = (max(lasts.values()) - min(lasts.values())) * 1000 if lasts else None
    shares = [beat.jobs.get("succeeded", 0) for beat in beats]
    return Burst(jobs / (last - first).total_seconds(), shares, apart)


async def _burst(url: str, workers: int, burst: list[NewJob]) -> tuple[list[Job], list[Heartbeat]]:
    redis = connect(Settings(redis_url=url), connections=32)
    try:
        queue, roster = JobQueue(redis, Settings(redis_url=url), ["burst"]), Roster(first_shard(redis))
        settled_at = time.monotonic() + 2 * HEARTBEAT_EVERY + 0.5

        async def rosters_read() -> bool:
            ready = [beat for beat in await roster.read() if beat.engine in ("ready", "busy")]
            nonlocal settled_at
            if len(ready) < workers:
                settled_at = time.monotonic() + 2 * HEARTBEAT_EVERY + 0.5  # they then read the roster again
            return time.monotonic() > settled_at

        await until(rosters_read)
        left, ids = iter(burst), []

        async def fill() -> None:
            for job in left:
                ids.append((await queue.submit(job))[0].id)

        async with asyncio.timeout(60):  # workers are stopped, so that they find the whole burst
            _signal(beats := await roster.read(), signal.SIGSTOP)
            try:
                await asyncio.gather(*(fill() for _ in range(32)))
            finally:
                _signal(beats, signal.SIGCONT)

        async def all_counted() -> bool:  # including the stack's own test job
            done = sum(beat.jobs.get("succeeded", 0) for beat in await roster.read())
            return done == len(burst) + 1

        await until(all_counted, 240)
        return [await queue.read(job_id) for job_id in ids], await roster.read()
    except AssertionError as error:
        raise BenchError(str(error)) from None
    finally:
        await redis.aclose(close_connection_pool=True)


def _signal(workers: list[Heartbeat], number: int) -> None:
    for worker in workers:
        os.kill(worker.pid, number)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default: 3)")
    rounds = parser.parse_args().rounds
    os.environ["OMP_NUM_THREADS"] = "1"  # all processes inherit it
    about = machine.describe()
    print(f"{about['cpu']}, {about['cores']} cores; load before: {about['load before']}")
    print(f"{'':22}{'one/s':>8}{'two/s':>8}{'of twice':>10}  jobs of each of two   ms between their ends")
    try:
        with TemporaryDirectory() as folder:
            record = Path(folder) / "record"
            sleeping, embedding = SLEEPING.format(record=record), EMBEDDING.format(source=model_folder())
            ratios = defaultdict(list)
            for _ in range(rounds):
                for name, models, parameters, jobs in (
                    ("sleeps 2 ms an input", sleeping, {}, 3000),
                    ("MiniLM, one thread", embedding, {"pooling": "mean"}, 512),
                ):
                    one, two = (
                        measure(models, parameters, own_cores(workers), jobs, record) for workers in (1, 2)
                    )
                    ratios[name].append(two.rate / one.rate / 2)
                    print(_line(name, one, two), flush=True)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for name, each in ratios.items():
        print(f"{name:22} median of twice: {statistics.median(each):.0%}")
    return 0


def _line(name: str, one: Burst, two: Burst) -> str:
    apart = "" if two.apart is None else f"{two.apart:.0f}"
    ratio = two.rate / one.rate / 2
    shares = " and ".join(map(str, two.shares))
    return f"{name:22}{one.rate:8.0f}{two.rate:8.0f}{ratio:10.0%}  {shares:>19}   {apart:>21}"


if __name__ == "__main__":
    sys.exit(main())
