"""A queue whose jobs have webhooks, a receiver and a sender in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import structlog
from arq.connections import ArqRedis

from hooks import breakers, known, moving, sender
from hooks.sender import Sender
from hooks.service import Hooks
from jobs.ledger.shards import Shards
from jobs.settings import Settings
from jobs.store.connection import cancel
from tests.hooks.receiver import Receiver, receiving
from tests.ledger import JobQueue

Sending = Callable[..., AbstractAsyncContextManager[Sender]]

QUICK = {
    "webhook_http": True,
    "outbound_networks": "127.0.0.1",
    "webhook_timeout": 30.0,
    "webhook_retries": "0.02,0.02,0.02,0.02,0.02,0.02",
}
"""Settings for a receiver on loopback, and tries that follow each other at once.

A try that timed out because the machine stood still would be made twice.
"""


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    """structlog's default shows locals with each traceback, which takes seconds."""
    structlog.configure([structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breakers, "FIRST_PAUSE", 0.05)
    for module in (moving, sender):
        monkeypatch.setattr(module, "POLL_EVERY", 0.02)
    monkeypatch.setattr(known, "FRESH", 0.0)


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """A test of receivers that hang gives the seconds after which a try fails."""
    timeout = getattr(request, "param", QUICK["webhook_timeout"])
    return settings.model_copy(update={**QUICK, "webhook_timeout": timeout})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


@pytest.fixture
async def hooks(queue: JobQueue) -> Hooks:
    return Hooks(queue.shards)


@pytest.fixture
def sending(queue: JobQueue, redis: ArqRedis) -> Sending:
    """Runs a sender until the end of a block."""

    @asynccontextmanager
    async def running(shards: Shards = queue.shards, **how: Any) -> AsyncIterator[Sender]:
        made = Sender(shards, **how)
        task = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            await cancel(task)

    return running
