"""A client that is refused while it sends a large body reads why, also with Python's standard library."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from arq.connections import ArqRedis

from api.edge import memory_budget
from jobs.settings import MIB, Settings
from tests.api import floods
from tests.api.api_process import serving
from tests.api.conftest import MODELS
from tests.api.floods import LARGE, head, status_of
from tests.waiting import until

JSON = {"content-type": "application/json"}
TOO_LARGE = b"x" * (24 * MIB)


@pytest.fixture
async def api(tmp_path: Path, redis: ArqRedis, redis_url: str) -> AsyncIterator[floods.Api]:
    async with floods.serving(tmp_path, MODELS, redis_url, memory_budget=8 * MIB) as api:
        yield api


def posted(url: str, body: bytes) -> tuple[int, str | None]:
    """The status that urllib reads, and Retry-After."""
    request = urllib.request.Request(f"{url}/v1/jobs", body, JSON)  # noqa: S310 - it is ours
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)  # noqa: S310
    with caught.value as error:
        assert error.headers["content-type"] == "application/problem+json"
        assert error.read()
        return error.code, error.headers["retry-after"]


@pytest.mark.attack(
    "urllib, or a client without end, sends a body that is too large",
    held="it reads the 413 or 503, or the connection is closed in time",
)
async def test_urllib_reads_that_a_body_is_too_large(api: floods.Api) -> None:
    for _ in range(3):
        assert await asyncio.to_thread(posted, api.url, TOO_LARGE) == (413, None)


@pytest.mark.attack(
    "urllib, or a client without end, sends a body that is too large",
    held="it reads the 413 or 503, or the connection is closed in time",
)
async def test_urllib_reads_that_the_server_is_busy(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, where another body keeps its memory even if this machine stalls."""
    monkeypatch.setattr(memory_budget, "STALL_SECONDS", 3600.0)
    async with serving(settings.model_copy(update={"memory_budget": 8 * MIB})) as (client, services):
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(head(len(LARGE)) + LARGE[:MIB])

        async def received() -> bool:
            return bool(services.budget._started)

        await until(received)
        assert await asyncio.to_thread(posted, str(client.base_url).rstrip("/"), LARGE) == (503, "1")
        writer.close()


async def test_a_connection_goes_on_after_a_body_that_nobody_wanted(api: floods.Api) -> None:
    async with httpx.AsyncClient(base_url=api.url, timeout=60) as client:
        for _ in range(4):
            assert (await client.post("/v1/jobs", content=TOO_LARGE, headers=JSON)).status_code == 413
            assert (await client.get("/health/live")).status_code == 200


@pytest.mark.attack(
    "urllib, or a client without end, sends a body that is too large",
    held="it reads the 413 or 503, or the connection is closed in time",
)
async def test_whoever_sends_for_ever_is_hung_up_on(api: floods.Api) -> None:
    reader, writer = await api.connect()
    writer.write(head(len(TOO_LARGE), "connection: close"))
    assert (await status_of(reader))[0] == 413

    async def hung_up() -> bool:
        try:
            writer.write(b"x")
            await writer.drain()
        except ConnectionError:
            return True
        return False

    await until(hung_up)
