"""Floods of large bodies at a real API process: its memory is bounded and others are served meanwhile."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from arq.connections import ArqRedis

from jobs.settings import MIB
from tests.api import floods
from tests.api.conftest import MODELS
from tests.api.floods import LARGE, head, status_of
from tests.waiting import until

POD = 1024
"""MiB that the shipped manifests give the API's pod."""
BODIES = 200
FILES = 1024
"""Open files of a process that serves them all."""
JSON = {"content-type": "application/json"}


FLOATS = b'{"model":"shapes","inputs":[%b1]}' % ((b"[%b1]," % (b"1.5," * 10_000)) * 190)
"""A body of 7.6 MB that is more than twice as large in the queue's format."""


@pytest.mark.attack(
    "a flood of large bodies at once",
    held="the API stays within the memory of its pod, submits of others are accepted",
    tried="200 bodies",
)
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "body",
    [pytest.param(LARGE, id="texts"), pytest.param(FLOATS, id="floats", marks=pytest.mark.thorough)],
)
async def test_a_flood_of_large_bodies_stays_within_the_memory_of_a_pod(
    tmp_path: Path, redis: ArqRedis, redis_url: str, body: bytes
) -> None:
    """Those without room are refused before they have been read, and small ones accepted meanwhile."""
    async with (
        floods.serving(tmp_path, MODELS, redis_url, max_queued_bytes=64 * MIB) as api,
        floods.client(api) as innocent,
    ):
        assert (await innocent.post("/v1/jobs", json={"inputs": "x"})).status_code == 202
        before = api.resident()
        statuses: Counter[int] = Counter()

        async def send() -> None:
            reader, writer = await api.connect()
            writer.write(head(len(body)) + body)
            status, headers = await status_of(reader)
            statuses[status] += 1
            assert status == 202 or "\r\nretry-after: " in headers
            writer.close()

        async def submits() -> None:
            for _ in range(20):
                assert (await innocent.post("/v1/jobs", json={"inputs": "x"})).status_code == 202

        await asyncio.gather(*(send() for _ in range(BODIES)), submits())
        assert set(statuses) == {202, 503}, statuses
        assert api.peak() < POD

        async def back() -> bool:
            return api.resident() < before + 100

        await until(back)


@pytest.mark.attack(
    "large bodies that hold back their last byte",
    held="they give way to others",
)
@pytest.mark.timeout(300)
async def test_bodies_that_hold_back_their_last_byte_give_way(
    tmp_path: Path, redis: ArqRedis, redis_url: str
) -> None:
    """They hold memory only as long as nobody else needs it, and not until their own time is over."""
    late = {"api.edge.bodies.BODY_SECONDS": 600.0}
    async with (
        floods.serving(tmp_path, MODELS, redis_url, files=FILES, deadlines=late) as api,
        floods.client(api) as innocent,
    ):
        held: list[asyncio.StreamWriter] = []
        statuses: Counter[int] = Counter()

        async def hold_back() -> None:
            reader, writer = await api.connect()
            held.append(writer)
            writer.write(head(len(LARGE)) + LARGE[:-1])
            statuses[(await status_of(reader))[0]] += 1

        holders = [asyncio.create_task(hold_back()) for _ in range(BODIES)]

        async def refused() -> bool:
            return statuses[503] > 0

        async def accepted() -> bool:
            answer = await innocent.post("/v1/jobs", content=LARGE, headers=JSON)
            assert answer.status_code in (202, 503)
            return answer.status_code == 202

        await until(refused)
        assert (await innocent.post("/v1/jobs", json={"inputs": "x"})).status_code == 202
        await until(accepted)
        assert api.peak() < POD
        for holder in holders:
            holder.cancel()
        for writer in held:
            writer.close()


@pytest.mark.attack(
    "heads of large bodies, without a byte of their bodies",
    held="other submits are accepted, large ones too",
    tried="240 heads",
)
async def test_heads_without_bodies_take_no_room(tmp_path: Path, redis: ArqRedis, redis_url: str) -> None:
    """They cost their sender next to nothing; 32 of them announce as many bytes as the budget has."""
    async with (
        floods.serving(tmp_path, MODELS, redis_url) as api,
        floods.client(api) as innocent,
        AsyncExitStack() as senders,
    ):

        async def announce(count: int) -> None:
            for _ in range(count):
                _, writer = await api.connect()
                senders.callback(writer.close)
                writer.write(head(8 * MIB))

        statuses: list[int] = []
        await announce(80)
        for number in range(40):
            await announce(4)
            body = LARGE if number % 10 == 9 else b'{"inputs":"x"}'
            statuses.append((await innocent.post("/v1/jobs", content=body, headers=JSON)).status_code)
        assert statuses == [202] * 40


@pytest.mark.attack(
    "large bodies that stop after their first 64 KiB, one after the other",
    held="small submits of others are accepted",
    tried="160 bodies",
)
async def test_small_bodies_have_room_of_their_own(tmp_path: Path, redis: ArqRedis, redis_url: str) -> None:
    """Whoever sends a part of a large body may keep its room a while, but never that of small ones."""
    async with (
        floods.serving(tmp_path, MODELS, redis_url) as api,
        floods.client(api) as innocent,
        AsyncExitStack() as senders,
    ):
        statuses: list[int] = []
        for _ in range(40):
            for _ in range(4):
                _, writer = await api.connect()
                senders.callback(writer.close)
                writer.write(head(8 * MIB) + LARGE[: 512 * 1024])
            statuses.append((await innocent.post("/v1/jobs", json={"inputs": "x" * 60_000})).status_code)
        assert statuses == [202] * 40
