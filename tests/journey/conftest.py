"""Batchline as it is run: the API and a worker as separate processes, on the test's own database."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests import processes
from tests.ledger import SHARDS
from tests.ports import free_port
from tests.waiting import until


async def ready(client: httpx.AsyncClient) -> bool:
    """Whether all models have a ready worker."""
    try:
        return (await client.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


Running = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def shards() -> int:
    """Shards of the queue."""
    return SHARDS


@pytest.fixture
def batchline(redis_url: str, shards: int) -> Running:
    """`async with batchline(models_file)` yields a client of an API whose models all have a ready worker."""

    @asynccontextmanager
    async def run(models_file: Path) -> AsyncIterator[httpx.AsyncClient]:
        settings = {
            "redis_url": redis_url,
            "shards": shards,
            "models_file": models_file,
            "port": free_port(),
        }
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings['port']}", timeout=90)
        with processes.running("worker", **settings), processes.running("api", **settings):
            async with client:
                await until(partial(ready, client), 90)
                yield client

    return run
