"""The API in this process, on a real Valkey; `tests/api/api_process.py` has it behind a real socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import structlog

from api.health import observation, redis_timeout, roster_cache
from api.waiting import waiting
from jobs.ledger import keys
from jobs.monitoring import roster
from jobs.monitoring.roster import Heartbeat, Roster
from jobs.settings import Settings
from tests.api.access.browser import Browser
from tests.api.access.keyed import Keyed, keyed
from tests.api.api_process import mounted

MODELS = """
[models.sentiment]
description = "Says whether a text is <b>glad</b>"
task = "text-classification"
source = "no/such/folder"
max_inputs = 1000

[models.shapes]
pipeline = "somewhere:Shapes"
input = "json"
parameters = { depth = "integer", shape = "object" }
"""


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    """structlog's default shows locals with each traceback, which takes seconds."""
    structlog.configure([structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis may take its time: where the machine stalls, no page says that Redis is away."""
    monkeypatch.setattr(redis_timeout, "REDIS_TIMEOUT", 60.0)
    monkeypatch.setattr(observation, "PATIENCE", 60.0)
    monkeypatch.setattr(roster_cache, "MAX_READ", 60.0)


@pytest.fixture(autouse=True)
def lasting_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test writes a heartbeat once, where a worker goes on: it does not grow old while the test runs."""
    monkeypatch.setattr(roster, "HEARTBEAT_TTL", 600.0)
    write = Roster.write

    async def ahead(self: Roster, heartbeat: Heartbeat) -> None:
        await write(self, heartbeat)
        seconds, _ = await self._redis.time()
        await self._redis.zadd(self._shard.key(keys.ROSTER), {heartbeat.id: (seconds + 600) * 1000})

    monkeypatch.setattr(Roster, "write", ahead)


@pytest.fixture
def no_rereading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait ends by an event only: otherwise it reads its job again after some seconds, and needs none."""
    monkeypatch.setattr(waiting, "REREAD_SECONDS", 600.0)


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    return Settings(redis_url=redis_url, data_dir=tmp_path, models_file=models)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with mounted(settings) as (client, _):
        yield client


@pytest.fixture
async def guarded(settings: Settings) -> AsyncIterator[Keyed]:
    """A server that requires keys."""
    async with keyed(settings) as made:
        yield made


@pytest.fixture
async def browser(guarded: Keyed) -> Browser:
    """A browser that is signed in as alice."""
    _, secret = await guarded.key("alice")
    browser = Browser(guarded)
    assert (await browser.sign_in(secret)).status_code == 303
    return browser
