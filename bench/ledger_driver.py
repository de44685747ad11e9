"""Drives the ledger of one checkout for `bench.ledger`, in a process of its own.

It stands for load, API and worker: it submits a chunk of jobs, claims, starts and finishes all of them, and
reads the servers' processor time between these steps. The checkout is the first folder of PYTHONPATH, so
imports must exist in older ones too. Its argument and its output are JSON: `Task` and `Found`.
"""

import asyncio
import inspect
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import redis as blocking
from redis.asyncio import Redis

from jobs.ledger.leasing import Claimed
from jobs.schema import NewJob
from jobs.settings import Settings
from jobs.store import connection
from tests.ledger import MODEL, JobQueue, with_results

STEPS = ("submit", "claim", "start", "finish")

CHUNK = 1024
"""Jobs of one step, and so the depth of the queue."""


class Task(msgspec.Struct):
    """What to measure."""

    url: str
    ports: list[int]
    """Of the servers whose processor time is read; primaries first."""
    primaries: int
    jobs: int
    batch: int
    """Jobs in each script."""
    shards: int = 1
    lanes: int = 8
    """Calls under way at once. Each stands for an API process while jobs are submitted, then for a worker."""
    input_bytes: int = 70
    result_bytes: int = 60
    waiter: bool = False
    """Whether an API process waits for each job."""
    recent_jobs: int = 1000
    listeners: int = 1
    """API processes that subscribe to the events."""


class Found(msgspec.Struct):
    """What was measured, over all jobs."""

    cpu: dict[str, list[float]]
    """Step -> seconds of processor time of each server."""
    trips: dict[str, int]
    """Step -> scripts that were called, each one round trip."""
    seconds: float
    memory: int
    """Bytes by which the primaries' memory grew."""
    kept: int
    """Jobs that had ended and were kept, beyond those before the memory was first read."""
    events: int
    """Messages that the API processes received."""


class Servers:
    """What the servers say about themselves."""

    def __init__(self, task: Task) -> None:
        self._clients = [blocking.Redis(port=port) for port in task.ports]
        self._primaries = self._clients[: task.primaries]

    def cpu(self) -> list[float]:
        told: list[Any] = [client.info("cpu") for client in self._clients]
        return [each["used_cpu_user"] + each["used_cpu_sys"] for each in told]

    def scripts(self) -> int:
        told: list[Any] = [client.info("commandstats") for client in self._primaries]
        return sum(
            each.get(f"cmdstat_{name}", {}).get("calls", 0) for each in told for name in ("evalsha", "eval")
        )

    def memory(self) -> int:
        told: list[Any] = [client.info("memory") for client in self._primaries]
        return sum(each["used_memory"] for each in told)


class Queue(JobQueue):
    """One lane's queue, which remembers between claims what it knows of the shards, as a worker does."""

    async def claim(
        self, model: str, inputs: int, workers: int = 1, **options: Any
    ) -> tuple[list[Claimed], int]:
        rounds = getattr(self, "_rounds", {}).get(model)
        if rounds is None:  # the first claim, or a checkout without shards
            return await super().claim(model, inputs, workers, **options)
        claimed, left = await rounds.claim(inputs, workers, **options)
        self._claimed |= {job.id: job.shard for job in claimed}
        return claimed, left


class Driver:
    def __init__(self, task: Task, servers: Servers, queues: list[Queue]) -> None:
        self._task = task
        self._servers = servers
        self._queues = queues
        self._job = NewJob(MODEL, "x" * task.input_bytes, 1, {}, "normal", None)
        self._results = b'[{"output":"' + b"x" * (task.result_bytes - 15) + b'"}]'
        registers = "watcher" in inspect.signature(JobQueue.submit).parameters  # else every process is told
        self._watchers: list[dict[str, Any]] = [
            {"watcher": process_name(lane % task.listeners)} if task.waiter and registers else {}
            for lane in range(len(queues))
        ]
        self.found = Found(
            {step: [0.0] * len(task.ports) for step in STEPS}, dict.fromkeys(STEPS, 0), 0, 0, 0, 0
        )

    async def chunk(self) -> None:
        """Runs CHUNK jobs and adds up what each step cost."""
        batch, lanes = self._task.batch, len(self._queues)
        began = time.perf_counter()
        turns = iter(range(CHUNK // batch))
        await self._step("submit", lambda lane: self._submit(lane, turns))
        held: list[list[list[Claimed]]] = [[] for _ in range(lanes)]
        left = [CHUNK // batch * batch]
        await self._step("claim", lambda lane: self._claim(lane, held[lane], left))
        await self._step("start", lambda lane: self._start(lane, held[lane]))
        await self._step("finish", lambda lane: self._finish(lane, held[lane]))
        self.found.seconds += time.perf_counter() - began

    async def _step(self, name: str, work: Callable[[int], Awaitable[None]]) -> None:
        trips, cpu = self._servers.scripts(), self._servers.cpu()
        await asyncio.gather(*map(work, range(len(self._queues))))
        after = self._servers.cpu()
        total = self.found.cpu[name]
        for at, (late, early) in enumerate(zip(after, cpu, strict=True)):
            total[at] += late - early
        self.found.trips[name] += self._servers.scripts() - trips

    async def _submit(self, lane: int, turns: Any) -> None:
        queue, watcher = self._queues[lane], self._watchers[lane]
        for _ in turns:
            await asyncio.gather(*(queue.submit(self._job, **watcher) for _ in range(self._task.batch)))

    async def _claim(self, lane: int, held: list[list[Claimed]], left: list[int]) -> None:
        while left[0] > 0:
            left[0] -= self._task.batch
            missing = self._task.batch
            while missing > 0:
                claimed, _ = await self._queues[lane].claim(MODEL, missing)
                missing -= len(claimed)
                held.append(claimed)

    async def _start(self, lane: int, held: list[list[Claimed]]) -> None:
        for claimed in held:
            if claimed:
                await self._queues[lane].start(claimed)

    async def _finish(self, lane: int, held: list[list[Claimed]]) -> None:
        for claimed in held:
            if claimed:
                endings = [with_results(job, self._results, 1) for job in claimed]
                assert await self._queues[lane].finish(MODEL, endings) == set()


def process_name(number: int) -> str:
    """Returns the 16 characters that name an API process."""
    return f"{number:016x}"


@asynccontextmanager
async def listening(task: Task, found: list[int]) -> AsyncIterator[None]:
    """Subscribes as API processes do, and counts their messages in `found`."""
    tasks = []
    clients = [Redis(port=task.ports[0]) for _ in range(task.listeners)]

    async def listen(number: int, subscribed: asyncio.Event) -> None:
        async with clients[number].pubsub() as channel:
            await channel.subscribe("batchline:events", f"batchline:events:{process_name(number)}")
            async for message in channel.listen():
                if message["type"] == "message":
                    found[0] += 1
                else:
                    subscribed.set()

    try:
        for number in range(task.listeners):
            subscribed = asyncio.Event()
            tasks.append(asyncio.create_task(listen(number, subscribed)))
            await asyncio.wait_for(subscribed.wait(), 10)
        yield
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(client.aclose() for client in clients))


def opened(settings: Settings, connections: int) -> Any:
    if "cluster" not in settings.redis_url:
        return connection.connect(settings, connections=connections)
    from jobs.store.store import open_store  # older checkouts have none

    return open_store(settings, connections=connections)


async def run(task: Task) -> Found:
    given: dict[str, Any] = {"shards": task.shards} if task.shards > 1 else {}
    settings = Settings(
        redis_url=task.url,
        max_queued_jobs=10**7,
        max_queued_bytes=2**40,
        recent_jobs=task.recent_jobs,
        **given,
    )
    store = opened(settings, connections=4 * task.lanes)
    servers, messages = Servers(task), [0]
    try:
        async with listening(task, messages):
            queues = [Queue(store, settings, [MODEL]) for _ in range(task.lanes)]
            for lane, queue in enumerate(queues):
                queue._worker = f"a-worker-s-host:{lane:04}"
            driver = Driver(task, servers, queues)
            for _ in range(2):  # loads the scripts and fills the listing
                await driver.chunk()
            measured = driver.found = Driver(task, servers, queues).found
            messages[0], memory = 0, servers.memory()
            while measured.kept < task.jobs:
                await driver.chunk()
                measured.kept += CHUNK // task.batch * task.batch
            measured.memory = servers.memory() - memory
            measured.events = messages[0]
            return measured
    finally:
        await store.aclose(**({} if hasattr(store, "primaries") else {"close_connection_pool": True}))


if __name__ == "__main__":
    print(msgspec.json.encode(asyncio.run(run(msgspec.json.decode(sys.argv[1], type=Task)))).decode())
