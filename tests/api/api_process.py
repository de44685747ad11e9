"""Ways to run the API in a test: mounted (no socket), serving (uvicorn in here), as a process of its own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from arq.connections import ArqRedis
from asgi_lifespan import LifespanManager

from api.app import create_app
from api.edge.certificate import certificate_of
from api.edge.server import Server, config, listen
from api.services import Services
from jobs.ledger import keys
from jobs.settings import Settings
from tests import processes
from tests.waiting import until

Edge = tuple[httpx.AsyncClient, Services]


@asynccontextmanager
async def mounted(settings: Settings, **how: Any) -> AsyncIterator[Edge]:
    """The application without a server, created as `how` says."""
    async with LifespanManager(create_app(settings, **how)) as manager:
        transport = httpx.ASGITransport(manager.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://edge", timeout=30) as client:
            yield client, manager._state["services"]


@asynccontextmanager
async def serving(settings: Settings, **client_options: Any) -> AsyncIterator[Edge]:
    """The application behind our uvicorn server, which is stopped as by SIGTERM at the end."""
    listener = listen("127.0.0.1", 0)
    certificate = certificate_of(settings)
    made = config(create_app(settings)) if certificate is None else config(create_app(settings), certificate)
    server = Server(made, certificate)
    running = asyncio.create_task(server._serve([listener]))

    async def started() -> bool:
        return server.started

    try:
        await until(started)
        url = f"{settings.scheme}://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, timeout=30, **client_options) as client:
            yield client, server.lifespan.state["services"]
    finally:
        server.should_exit = True
        async with asyncio.timeout(60):
            await running


class Process:
    """`python -m api`."""

    def __init__(self, settings: Settings, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "api"], env=os.environ | environment(settings, port)
        )

    async def answers(self) -> None:
        """Returns once it serves."""

        async def alive() -> bool:
            assert self._process.poll() is None, "the API ended before it served"
            return await processes.alive(self.url)

        await until(alive)

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        return await asyncio.to_thread(self._process.wait, 60)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)


def environment(settings: Settings, port: int) -> dict[str, str]:
    return {
        "BATCHLINE_REDIS_URL": settings.redis_url,
        "BATCHLINE_MODELS_FILE": str(settings.models_file),
        "BATCHLINE_PORT": str(port),
    }


async def parked(services: Services, count: int = 1) -> None:
    """Returns once that many requests and streams watch a job."""

    async def enough() -> bool:
        return bool(services.metrics.waiters._value.get() == count)

    await until(enough)


async def subscribed(redis: ArqRedis) -> None:
    """Returns once a subscription to the events exists."""

    async def exists() -> bool:
        return bool(dict(await redis.pubsub_numsub(keys.EVENTS))[keys.EVENTS.encode()])

    await until(exists)


async def listening(services: Services) -> None:
    """Returns once the process hears of the events of its jobs."""
    channel = f"{keys.EVENTS}:{services.subscriber.process}"

    async def hears() -> bool:
        return bool(dict(await services.store.events.pubsub_numsub(channel))[channel.encode()])

    await until(hears)


async def on_disk(redis: ArqRedis) -> None:
    """Returns once what was written before is on the server's disk, so that it outlives the server."""

    async def synced() -> bool:
        local, _ = await redis.execute_command("WAITAOF", 1, 0, 1_000)  # type: ignore[no-untyped-call]
        return bool(local)

    await until(synced)
