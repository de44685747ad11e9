"""`python -m bench.overload`: measures the waiting time by priority at low load and at twice the capacity.

The model sleeps COST seconds for each input, so its capacity is known. Jobs arrive as a Poisson process over
HTTP, 10 % with high and 20 % with low priority. The ledger reports how long each job waited.
"""

import argparse
import asyncio
import json
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench import arrivals, machine, stack
from bench.arrivals import Arrivals, percentile
from bench.costly import Ran, record_of
from bench.errors import BenchError
from bench.texts import make_texts
from jobs.schema import Job
from jobs.settings import Settings
from jobs.store.connection import connect
from tests.ledger import JobQueue
from tests.waiting import until

COST = 0.005
BATCH = 16
ID = slice(len('{"id":"'), len('{"id":"') + 36)
"""Position of the job's id in an answer."""
SHARES = {"high": 10, "normal": 70, "low": 20}

MODELS = """\
[models.costly]
pipeline = "bench.costly:Costly"
options = {{ seconds = {cost}, record = "{record}" }}
max_batch_items = {batch}
token_budget = 1000000
"""


class Outcome(NamedTuple):
    """Results of one run."""

    waited: dict[str, list[float]]
    """Priority -> milliseconds from submit to start."""
    capacity: float
    """Inputs per second while the engine was busy."""
    batches: int


def measure(running: stack.Stack, record: Path, load: float, seconds: float, *, mixed: bool) -> Outcome:
    """Submits at `load` times the capacity and waits until all jobs have ended. Raises BenchError."""
    count = int(load / COST * seconds)
    chance, texts = random.Random(1), make_texts(256)
    ranks = chance.choices(list(SHARES), list(SHARES.values()), k=count)
    bodies = [
        json.dumps({"inputs": texts[i % 256] if mixed else "just these", "priority": rank})
        for i, rank in enumerate(ranks)
    ]
    before = len(record_of(record))
    plan = Arrivals(running.port, "/v1/jobs", load / COST, count, bodies, status=202, keep=ID.stop)
    arrived = arrivals.run(plan)
    if arrived.errors or arrived.overrun:
        raise BenchError(f"{arrived.errors} submits failed; the first: {arrived.error or 'too many at once'}")
    jobs = asyncio.run(_ended(running, {i: body[ID] for i, body in arrived.answers.items()}))
    waited: dict[str, list[float]] = {rank: [] for rank in SHARES}
    for number, job in jobs.items():
        if job.status != "succeeded" or job.timings.queued_ms is None:
            raise BenchError(f"a job did not succeed: {job}")
        waited[ranks[number]].append(job.timings.queued_ms)
    ran = record_of(record)[before:]
    return Outcome(waited, capacity(ran), len(ran))


def capacity(ran: list[Ran]) -> float:
    """Returns inputs per second over the middle half of the batches."""
    middle = ran[len(ran) // 4 : 3 * len(ran) // 4] or ran
    return sum(len(each.names) for each in middle) / (middle[-1].ended - middle[0].began)


async def _ended(running: stack.Stack, ids: dict[int, str]) -> dict[int, Job]:
    redis = connect(Settings(redis_url=running.redis_url))
    try:
        queue = JobQueue(redis, Settings(redis_url=running.redis_url), ["costly"])

        async def drained() -> bool:
            depth = (await queue.depth())["costly"]
            return depth.waiting + depth.running + depth.deferred == 0

        try:
            await until(drained, 120)
        except AssertionError as error:
            raise BenchError(f"jobs were left: {error}") from None
        return {number: await queue.read(job_id) for number, job_id in ids.items()}
    finally:
        await redis.aclose(close_connection_pool=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.overload")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="seconds of submitting in each run (default: 10)"
    )
    seconds = parser.parse_args().seconds
    about = machine.describe()
    print(f"{about['cpu']}, {about['cores']} cores; load before: {about['load before']}")
    print(
        f"a batch is {BATCH} inputs and {BATCH * COST * 1000:g} ms; capacity {1 / COST:g}/s; ms in the queue"
    )
    print(
        f"{'':26}"
        + "".join(f"{rank + ' p50':>12}{'p99':>8}" for rank in SHARES)
        + f"{'ran/s':>8}{'batch':>7}"
    )
    try:
        with TemporaryDirectory() as folder:
            record = Path(folder) / "record"
            models = MODELS.format(cost=COST, record=record, batch=BATCH)
            with stack.running(models) as running:
                for mixed in (False, True):
                    for load in (0.3, 2.0):
                        outcome = measure(running, record, load, seconds, mixed=mixed)
                        print(_line(load, mixed, outcome), flush=True)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _line(load: float, mixed: bool, outcome: Outcome) -> str:
    name = f"{load:g} x, {'mixed lengths' if mixed else 'one length'}"
    waited = outcome.waited.values()
    items = sum(map(len, waited)) / outcome.batches
    figures = "".join(f"{percentile(each, 50):12.0f}{percentile(each, 99):8.0f}" for each in waited)
    return f"{name:26}{figures}{outcome.capacity:8.0f}{items:7.1f}"


if __name__ == "__main__":
    sys.exit(main())
