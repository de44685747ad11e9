"""A primary that dies under Sentinel: a replica takes over, and no accepted job is lost.

Replication is asynchronous, so this requires `durable_submit=replica`: submits wait until a replica has them.
"""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from jobs.ledger import keys
from tests import processes, valkey
from tests.gate import Gate
from tests.ports import free_port
from tests.waiting import until

SERVICE = "queue"

DOWN = f"sentinel down-after-milliseconds {SERVICE} 5000"
"""Longer than a stall of the machine, during which a replica would take over before the test kills."""

PARKED = 150
"""Seconds that a client waits for its job: the test opens the gate long before."""


class Deployment:
    """A primary, two replicas and three sentinels on this machine."""

    def __init__(self, folder: Path) -> None:
        def place(name: str) -> Path:
            (folder / name).mkdir()
            return folder / name

        self.primary = valkey.Server(place("primary"), repl_diskless_sync_delay="0")
        self.replicas = [
            valkey.Server(
                place(f"replica{i}"),
                repl_diskless_sync_delay="0",
                replicaof=f"127.0.0.1 {self.primary.port}",
            )
            for i in range(2)
        ]
        self.sentinels = [
            valkey.Sentinel(place(f"sentinel{i}"), self.primary, SERVICE, DOWN) for i in range(3)
        ]

    @property
    def servers(self) -> list[valkey.Server]:
        return [self.primary, *self.replicas, *self.sentinels]

    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def reported_primaries(self) -> list[dict[str, Any]]:
        """The primary as reported by each sentinel."""
        states = []
        for sentinel in self.sentinels:
            with redis.Redis(port=sentinel.port) as client:
                states.append(client.sentinel_master(SERVICE))
        return states

    async def complete(self) -> bool:
        """Whether every sentinel knows both replicas and the other sentinels."""
        return all(
            (it["num-slaves"], it["num-other-sentinels"]) == (2, 2) for it in self.reported_primaries()
        )

    async def failed_over(self) -> bool:
        return all(it["port"] != self.primary.port for it in self.reported_primaries())

    async def replicated(self) -> bool:
        """Whether the current primary has two synchronised replicas."""
        with redis.Redis(port=self.reported_primaries()[0]["port"]) as client:
            replication = client.info("replication")
        states = [replication.get(f"slave{i}", {}).get("state") for i in range(2)]
        return bool(replication["role"] == "master" and states == ["online", "online"])

    def cut_off(self) -> None:
        """Stops replication: writes that the primary accepts from now on are lost with it."""
        for replica in self.replicas:
            replica.signal(signal.SIGSTOP)
        with redis.Redis(port=self.primary.port) as client:
            client.client_kill_filter(_type="slave")

    def kill_primary(self) -> None:
        self.primary.kill()
        for replica in self.replicas:
            replica.signal(signal.SIGCONT)

    def queued(self) -> int:
        with redis.Redis(port=self.primary.port) as client:
            queues: Any = client.keys(keys.QUEUE.of("*"))
            return sum(int(client.zcard(name)) for name in queues)

    def results(self) -> list[str]:
        """The ids of all results on the current primary."""
        with redis.Redis(port=self.reported_primaries()[0]["port"]) as client:
            found: Any = client.keys(keys.RESULT.of("*"))
        return [key.decode()[-36:] for key in found]


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    made = Deployment(tmp_path)
    with ExitStack() as stack:
        for server in made.servers:
            server.start()
            stack.callback(server.kill)
        await until(made.complete)
        await until(made.replicated)
        yield made


@dataclass
class Stack:
    client: httpx.AsyncClient
    api: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes]

    async def ready(self) -> bool:
        assert (self.api.poll(), self.worker.poll()) == (None, None)
        try:
            return (await self.client.get("/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async def submit(self, text: str) -> str:
        """Submits until the job is accepted, as a client should, and returns its id."""
        accepted: list[str] = []

        async def tried() -> bool:
            try:
                answer = await self.client.post(
                    "/v1/jobs", json={"inputs": text}, headers={"Idempotency-Key": text}
                )
            except httpx.TimeoutException:
                return False
            if answer.status_code == 503:
                return False
            assert answer.status_code == 202, answer.text
            accepted.append(answer.json()["id"])
            return True

        await until(tried)
        return accepted[0]

    async def read(self, job_id: str, wait: float = 0) -> dict[str, Any]:
        answer = await self.client.get(f"/v1/jobs/{job_id}", params={"wait": wait}, timeout=wait + 30)
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    async def waiters(self, count: int) -> bool:
        return f"\nbatchline_waiters {count}.0\n" in (await self.client.get("/metrics")).text


@contextmanager
def batchline(url: str, models: Path) -> Iterator[Stack]:
    port = free_port()
    settings = {
        "redis_url": url,
        "models_file": models,
        "durable_submit": "replica",
        "port": port,
        "max_wait": PARKED,
    }
    with (
        processes.running("api", **settings) as api,
        processes.running("worker", **settings) as worker,
    ):
        yield Stack(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=15), api, worker)


@pytest.mark.timeout(300)
async def test_a_primary_killed_in_the_middle(deployment: Deployment, tmp_path: Path, gate: Gate) -> None:
    models = processes.write_models(
        tmp_path, options={"seconds": 0.02}, max_batch_items=1, batch_timeout=300.0
    )
    accepted: dict[str, str] = {}

    with batchline(deployment.url(), models) as stack:

        async def client(name: int, jobs: int) -> None:
            for i in range(jobs):
                text = f"text {name} {i}"
                accepted[text] = await stack.submit(text)

        await until(stack.ready)
        await client(0, 20)
        for job_id in accepted.values():  # so that the queue only grows from here on
            assert (await stack.read(job_id, wait=60))["status"] == "succeeded"
        accepted[gate.text] = await stack.submit(gate.text)
        await client(1, 20)

        async def gate_runs() -> bool:
            return bool((await stack.read(accepted[gate.text]))["status"] == "running")

        await until(gate_runs)
        parked = [accepted[gate.text], accepted["text 1 0"], accepted["text 1 19"]]
        waits = [asyncio.create_task(stack.read(job_id, wait=PARKED)) for job_id in parked]
        await until(lambda: stack.waiters(3))
        submits = [asyncio.create_task(client(name, 20)) for name in range(2, 10)]

        async def in_full_flow() -> bool:
            return len(accepted) >= 80

        await until(in_full_flow)
        deployment.cut_off()
        before = deployment.queued()
        submits += [asyncio.create_task(client(name, 2)) for name in range(20, 28)]

        async def some_are_nowhere_else() -> bool:
            return deployment.queued() > before

        await until(some_are_nowhere_else)
        deployment.kill_primary()
        assert not any(task.done() for task in [*waits, *submits])
        await until(deployment.failed_over)
        async with asyncio.timeout(120):
            await asyncio.gather(*submits)
            await client(10, 1)
            gate.open()
            answers = await asyncio.gather(*waits)
        assert [job["status"] for job in answers] == ["succeeded"] * 3

        deployment.primary.start()
        await until(deployment.replicated)
        await client(11, 20)
        for text, job_id in accepted.items():
            job = await stack.read(job_id, wait=60)
            assert job["status"] == "succeeded", job
            [result] = job["results"]
            assert result["output"]["text"] == text.upper()
        assert await stack.ready(), "the API and the worker are those that were started"
        await stack.client.aclose()
    assert sorted(deployment.results()) == sorted(accepted.values()), "no job was made twice"
