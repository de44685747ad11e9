"""The disk under Redis fills up while jobs arrive. Accepted jobs are not lost, as far as documented."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.ledger import keys
from tests import valkey
from tests.faults.clients import nonces
from tests.faults.disk import SmallDisk, small_disk
from tests.faults.scenario import Scenario, scenario
from tests.waiting import until

SENDERS = 8
TEXT = 20_000 * "x"
ROUNDS = 3
MODEL = {"max_batch_items": 4, "options": {"seconds": 0.0}}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", kib=1024) as disk:
        yield disk


async def fill(run: Scenario, senders: int = SENDERS) -> tuple[list[str], httpx.Response]:
    """Submits jobs until each sender is refused; returns the accepted ones, in order, and a refusal."""
    [url] = run.stack.apis
    accepted: list[str] = []

    async def send(client: httpx.AsyncClient) -> httpx.Response:
        while True:
            text = f"{nonces(1)[0]} {TEXT}"
            answer = await client.post(f"{url}/v1/jobs", json={"inputs": text})
            if answer.status_code != 202:
                return answer
            run.clients.accepted[text] = answer.json()["id"]
            accepted.append(text)

    async with httpx.AsyncClient(timeout=30) as client:
        refusals = await asyncio.gather(*(send(client) for _ in range(senders)))
    for refused in refusals:
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:batchline:problem:redis-unavailable"
        assert refused.headers["retry-after"] == "1"
    return accepted, refusals[0]


async def on_disk(run: Scenario) -> dict[str, Any]:
    [url] = run.stack.apis
    async with httpx.AsyncClient(timeout=30) as client:
        check: dict[str, Any] = (await client.get(f"{url}/health/ready")).json()["checks"]["redis"]
        return check


@pytest.mark.attack(
    "the disk under Redis fills up while jobs arrive; then space is freed",
    held="submits are refused meanwhile and the health check reports why; every accepted job runs",
)
async def test_a_full_disk_that_gets_space(
    tmp_path: Path, disk: SmallDisk, tried: Callable[[int, str], None]
) -> None:
    server = valkey.Server(disk.folder)
    async with scenario(tmp_path, model=MODEL, workers=0, server=server) as run:
        await fill(run)
        check = await on_disk(run)
        assert check["ok"] is False
        assert "Redis cannot write its append-only file: submits are refused" in check["reason"]
        [url] = run.stack.apis
        async with httpx.AsyncClient(timeout=30) as client:
            page = (await client.get(f"{url}/")).text
        assert "Redis cannot write its append-only file: submits are refused" in page

        disk.grow(64 * 1024)

        async def written_again() -> bool:
            return (await on_disk(run))["ok"] is True

        await until(written_again)
        await run.clients.submit(*nonces(10))
        await run.stack.worker()
        jobs = await run.check()
        tried(len(jobs), "jobs")


@pytest.mark.attack(
    "the disk under Redis fills up while jobs arrive, and Redis is then killed (SIGKILL)",
    held="with `BATCHLINE_DURABLE_SUBMIT=disk` every accepted job runs",
)
@pytest.mark.skipif(not valkey.knows_waitaof(), reason="this server cannot tell what is on disk")
async def test_a_full_disk_and_sigkill_lose_nothing_that_was_synced(
    tmp_path: Path, disk: SmallDisk, tried: Callable[[int, str], None]
) -> None:
    server = valkey.Server(disk.folder, appendfsync="always")
    settings = {"durable_submit": "disk"}
    async with scenario(tmp_path, model=MODEL, workers=0, server=server, **settings) as run:
        for _ in range(ROUNDS):
            await fill(run)
            server.kill()
            disk.grow(1024)
            server.start()
        disk.grow(64 * 1024)
        await run.stack.worker()
        jobs = await run.check()
        tried(len(jobs), "jobs")


async def test_without_it_only_the_write_that_met_the_full_disk_is_lost(
    tmp_path: Path, disk: SmallDisk
) -> None:
    """Redis answers a write before it knows that its file does not accept it, and refuses the next one."""
    server = valkey.Server(disk.folder)
    async with scenario(tmp_path, model=MODEL, workers=0, server=server) as run:
        accepted, _ = await fill(run, senders=1)
        server.kill()
        disk.grow(64 * 1024)
        server.start()
        there = await run.stack.queue.members(keys.QUEUE)
        assert there in (len(accepted), len(accepted) - 1)
        if there < len(accepted):
            del run.clients.accepted[accepted[-1]]
        await run.stack.worker()
        await run.check()
