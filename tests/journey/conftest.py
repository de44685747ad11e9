"""Batchline as it is run: the API and a worker as separate processes, on the test's own database."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from jobs.settings import load_settings
from standalone.__main__ import main
from tests import measured, processes
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
        measured.note(models_file)
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


Refused = Callable[..., str]


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Refused]:
    """`refused("gone", port=1)`: the one line of a `batchline serve` that ends before it starts a process.

    It is called in this process; `refusal` of `instance.py` starts a program.
    """
    for name in [name for name in os.environ if name.startswith("BATCHLINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(processes.ROOT)
    interrupt = signal.getsignal(signal.SIGINT)  # which `main` changes at once

    def call(*arguments: str, **settings: object) -> str:
        load_settings.cache_clear()
        children = psutil.Process().children()
        for name, value in {"port": free_port(), "data_dir": tmp_path / "data", **settings}.items():
            monkeypatch.setenv(f"BATCHLINE_{name.upper()}", str(value))
        assert main(arguments) == 1
        printed = "".join(capsys.readouterr())
        assert psutil.Process().children() == children, "it started none"
        assert printed.count("\n") == 1, printed
        return printed

    yield call
    signal.signal(signal.SIGINT, interrupt)
    load_settings.cache_clear()
