"""Stack: all parts of Batchline as real processes that a scenario may kill or stall, and their settings.

    clients -> API processes -> proxy -> Valkey <- proxy <- workers -> engines -> the record

The test itself reads the ledger without the proxy. Engines write what they run to a file, the record.
"""

import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from arq.connections import ArqRedis

from jobs.monitoring.roster import Heartbeat, Roster
from jobs.settings import Settings
from jobs.store.connection import connect
from tests import processes, valkey
from tests.faults import hurried, wrong_clock
from tests.faults.proxy import Proxy, between
from tests.ledger import SHARDS, JobQueue, first_shard
from tests.ports import free_port
from tests.waiting import until

MODEL = "sentiment"


@dataclass(frozen=True)
class Run:
    """One execution of one input."""

    at: float
    """Seconds of the machine's monotonic clock."""
    engine: int
    """The engine's process id."""
    nonce: str


@dataclass
class Stack:
    """The running processes. Build it with `running`."""

    folder: Path
    server: valkey.Server
    proxy: Proxy
    redis: ArqRedis
    queue: JobQueue
    roster: Roster
    settings: dict[str, Any]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    apis: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """API processes by base URL."""
    _exits: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def record(self) -> Path:
        return self.folder / "record"

    def runs(self) -> list[Run]:
        """Every execution so far, in order."""
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        return [Run(float(at), int(engine), nonce) for at, engine, nonce in map(str.split, lines)]

    def executions(self) -> Counter[str]:
        return Counter(run.nonce for run in self.runs())

    async def worker(self, **changed: Any) -> subprocess.Popen[bytes]:
        """Starts a worker and waits until its engine is ready; `changed` are settings, also `crash_at`.

        `clock` is the number of seconds by which its wall clock is fast; `api` takes it too.
        """
        process = self.start_worker(**changed)
        await until(partial(self.ready, process))
        return process

    def start_worker(self, *, clock: float = 0.0, **changed: object) -> subprocess.Popen[bytes]:
        command = wrong_clock.command("worker", clock)
        process = self._exits.enter_context(processes.running(*command, **{**self.settings, **changed}))
        self.workers.append(process)
        return process

    async def ready(self, worker: subprocess.Popen[bytes]) -> bool:
        beats = [beat for beat in await self.beats() if beat.pid == worker.pid]
        return any(beat.engine in ("ready", "busy") for beat in beats)

    async def all_ready(self) -> bool:
        return all([await self.ready(worker) for worker in self.workers])

    async def beats(self) -> list[Heartbeat]:
        return await self.roster.read()

    async def api(self, **changed: Any) -> str:
        """Starts an API process and waits until it listens; returns its base URL."""
        url = self.start_api(**changed)
        await until(partial(listens, url))
        return url

    def start_api(
        self,
        port: int | None = None,
        *,
        clock: float = 0.0,
        deadlines: Mapping[str, float] | None = None,
        **changed: object,
    ) -> str:
        """Starts an API process. `deadlines` are constants of its modules to shorten, by full name."""
        port = port or free_port()
        url = f"http://127.0.0.1:{port}"
        command = hurried.command(deadlines) if deadlines else wrong_clock.command("api", clock)
        started = processes.running(*command, **{**self.settings, "port": port, **changed})
        self.apis[url] = self._exits.enter_context(started)
        return url

    async def drained(self) -> bool:
        depth = (await self.queue.depth())[MODEL]
        return depth.waiting + depth.running + depth.deferred == 0


def engine_of(worker: subprocess.Popen[bytes]) -> int | None:
    """The process id of a worker's engine, or None if it has none now."""
    try:
        children = psutil.Process(worker.pid).children()
        engines = [child.pid for child in children if "worker.engine" in child.cmdline()]
    except psutil.NoSuchProcess:
        return None
    return engines[0] if engines else None


async def listens(url: str) -> bool:
    """Whether an API answers there: its port is open before it handles signals."""
    return await processes.alive(url)


@asynccontextmanager
async def running(
    folder: Path,
    *,
    workers: int = 1,
    apis: int = 1,
    model: dict[str, Any] | None = None,
    server: valkey.Server | None = None,
    **settings: Any,
) -> AsyncIterator[Stack]:
    """A stack with its own server. `model` changes its models.toml, `settings` the processes' settings.

    `server` is a server that has not been started, if it must differ from the default one.
    """
    fields = {"pipeline": "tests.faults.recording:Recording", **(model or {})}
    fields["options"] = {"record": str(folder / "record"), "seconds": 0.01, **fields.get("options", {})}
    models = processes.write_models(folder, **fields)
    server = server or valkey.Server(folder)
    server.start()
    redis = connect(Settings(redis_url=server.url()))
    try:
        async with between(server.port) as proxy, AsyncExitStack() as exits:
            through = f"redis://127.0.0.1:{proxy.port}/0"
            changed = {"redis_url": through, "models_file": models, "log_level": "warning", **settings}
            queue = JobQueue(redis, Settings(redis_url=server.url(), shards=SHARDS), [MODEL])
            roster = Roster(first_shard(redis))
            stack = Stack(folder, server, proxy, redis, queue, roster, changed, _exits=exits)
            for _ in range(workers):
                stack.start_worker()
            for _ in range(apis):
                stack.start_api()
            for url in stack.apis:
                await until(partial(listens, url))
            for worker in stack.workers:
                await until(partial(stack.ready, worker))
            yield stack
    finally:
        server.signal(signal.SIGCONT)
        await redis.aclose(close_connection_pool=True)
        server.kill()
