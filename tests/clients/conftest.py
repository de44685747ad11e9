"""One process of clients for all tests, and the server that they call: a real API and a real worker."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests import processes, valkey
from tests.clients import models, process
from tests.clients.process import ClientProcess
from tests.conftest import empty_database
from tests.journey.conftest import ready
from tests.ports import free_port
from tests.waiting import until
from tests.worker.conftest import queue, serving  # noqa: F401


@pytest.fixture(scope="package")
def clients() -> Iterator[ClientProcess]:
    if not process.installed():
        if os.environ.get("CI"):
            pytest.fail(process.MISSING)
        pytest.skip(process.MISSING)
    running = ClientProcess()
    yield running
    running.close()


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the checkpoints of the server's models: `models.source`."""
    return tmp_path_factory.mktemp("clients")


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def url(server: valkey.Server, clients: ClientProcess, folder: Path) -> AsyncIterator[str]:
    """The address of an API whose models (`models.py`) all have a ready worker."""
    settings = {
        "redis_url": empty_database(server),
        "models_file": models.write(folder),
        "port": free_port(),
        "data_dir": folder,
    }
    address = f"http://127.0.0.1:{settings['port']}"
    with ExitStack() as stack:
        stack.enter_context(processes.running("worker", **settings))
        stack.enter_context(processes.running("api", **settings))
        stack.enter_context(processes.running("bulk", **settings))
        async with httpx.AsyncClient(base_url=address, timeout=30) as client:
            await until(partial(ready, client), 90)
        yield address
