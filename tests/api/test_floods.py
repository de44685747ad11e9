"""Floods of large bodies at a real API process: its memory is bounded and others are served meanwhile."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest
from arq.connections import ArqRedis

from jobs.settings import MIB
from tests.api import floods
from tests.api.conftest import MODELS
from tests.api.floods import LARGE, Api, head, slowest, status_of
from tests.waiting import until

POD = 1024
"""MiB that the shipped manifests give the API's pod."""
BODIES = 200


async def held_back(api: Api) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A submit whose last byte has not been sent."""
    reader, writer = await api.connect()
    writer.write(head(len(LARGE)) + LARGE[:-1])
    await asyncio.wait(
        [asyncio.ensure_future(writer.drain()), asyncio.ensure_future(reader.read(0))],
        return_when=asyncio.FIRST_COMPLETED,
        timeout=60,
    )
    return reader, writer


@pytest.mark.timeout(300)
async def test_a_flood_of_large_bodies_stays_within_the_memory_of_a_pod(
    tmp_path: Path, redis: ArqRedis, redis_url: str
) -> None:
    async with (
        floods.serving(tmp_path, MODELS, redis_url, max_queued_bytes=64 * MIB) as api,
        httpx.AsyncClient(base_url=api.url, timeout=60) as innocent,
    ):
        assert (await innocent.post("/v1/jobs", json={"inputs": "x"})).status_code == 202
        before = api.resident()
        told: Counter[int] = Counter()

        async def send() -> None:
            reader, writer = await api.connect()
            writer.write(head(len(LARGE)) + LARGE)
            status, headers = await status_of(reader)
            told[status] += 1
            assert status == 202 or "\r\nretry-after: " in headers
            writer.close()

        async def submits() -> None:
            for _ in range(20):
                assert (await innocent.post("/v1/jobs", json={"inputs": "x"})).status_code == 202

        await asyncio.gather(*(send() for _ in range(BODIES)), submits())
        print(told, before, api.peak(), api.resident())
        assert set(told) == {202, 503}, told
        assert api.peak() < POD

        async def back() -> bool:
            return api.resident() < before + 100

        await until(back)
