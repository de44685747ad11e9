"""Batchline on a cluster as it is deployed: API processes, workers and their clients, all real processes."""

import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests import processes
from tests.cluster import nodes
from tests.faults.clients import Clients
from tests.ports import free_port
from tests.waiting import until

SHARDS = 6
"""Shards of a queue here: two or more are on each of three primaries."""


@dataclass
class Deployment:
    """Create one with `running`."""

    cluster: nodes.Cluster
    folder: Path
    settings: dict[str, Any]
    clients: Clients
    """Clients that retry, at every API process."""
    http: httpx.AsyncClient
    """A client of the first API process, which does not retry."""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    apis: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _exits: AsyncExitStack = field(default_factory=AsyncExitStack)

    def start_worker(self, **changed: object) -> None:
        self.workers.append(self._start("worker", **changed))

    async def start_api(self, **changed: object) -> str:
        """Starts an API process and waits until it answers; returns its base URL."""
        url = f"http://127.0.0.1:{(port := free_port())}"
        self.apis.append(self._start("api", port=port, **changed))
        await until(partial(processes.alive, url))
        self.clients.urls.append(url)
        return url

    def _start(self, module: str, **changed: object) -> subprocess.Popen[bytes]:
        started = processes.running(module, **{**self.settings, **changed})
        return self._exits.enter_context(started)

    async def ready(self) -> bool:
        """Whether all is well, according to the first API process."""
        answer = await self.http.get("/health/ready")
        return bool(answer.status_code == 200 and answer.json()["status"] == "ready")

    def executions(self) -> Counter[str]:
        """How often each input ran."""
        record = self.folder / "record"
        lines = record.read_text().splitlines() if record.exists() else []
        return Counter(line.split()[2] for line in lines)

    async def check(self) -> dict[str, dict[str, Any]]:
        """Checks that every accepted job has succeeded with its own answer; returns the jobs by input."""
        jobs = await self.clients.ended()
        ran = self.executions()
        for text, job in jobs.items():
            nonce = text.partition(" ")[0]
            assert job["status"] == "succeeded", job
            assert job["results"][0]["output"]["nonce"] == nonce, "its own answer"
            assert ran[nonce], "an answer that an engine computed"
        for process in (*self.apis, *self.workers):
            assert process.poll() is None, "the processes are those that were started"
        return jobs


@asynccontextmanager
async def running(
    cluster: nodes.Cluster,
    folder: Path,
    *,
    workers: int = 1,
    apis: int = 1,
    at_once: int = 32,
    model: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Deployment]:
    """A deployment whose workers are ready. `model` changes its models.toml, `settings` the processes'."""
    fields = {"pipeline": "tests.faults.recording:Recording", **(model or {})}
    fields["options"] = {"record": str(folder / "record"), "seconds": 0.0, **fields.get("options", {})}
    changed = {
        "redis_url": cluster.url(),
        "shards": SHARDS,
        "models_file": processes.write_models(folder, **fields),
        "log_level": "warning",
        **settings,
    }
    async with AsyncExitStack() as exits, Clients([], at_once) as clients:
        http = await exits.enter_async_context(httpx.AsyncClient(timeout=60))
        made = Deployment(cluster, folder, changed, clients, http, _exits=exits)
        for _ in range(workers):
            made.start_worker()
        http.base_url = httpx.URL(await made.start_api())
        for _ in range(apis - 1):
            await made.start_api()
        await until(made.ready)
        yield made


def shard_of(job: dict[str, Any] | str) -> int:
    """The shard that the id of a job names."""
    job_id = job if isinstance(job, str) else job["id"]
    return int(job_id[-5:-3], 16)
