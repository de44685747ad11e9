"""Several API processes on one port: they are one to whoever asks, and none is left behind."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from api.edge import processes
from jobs.settings import Settings
from tests.ports import free_port
from tests.processes import alive, running
from tests.waiting import until

COUNT = 3


class Group:
    """A running `python -m api` with COUNT processes."""

    def __init__(self, pid: int, url: str) -> None:
        self.url = url
        self.parent = psutil.Process(pid)

    def members(self) -> set[int]:
        return {child.pid for child in self.parent.children()}

    async def complete(self) -> bool:
        return len(self.members()) == COUNT

    async def get(self, path: str) -> httpx.Response:
        """Over a connection of its own, which any of them may answer."""
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            return await client.get(path)

    async def submitted(self) -> int:
        text = (await self.get("/metrics")).text
        lines = [line for line in text.splitlines() if line.startswith("batchline_jobs_submitted_total")]
        return int(float(lines[0].split()[-1])) if lines else 0


@pytest.fixture
async def group(settings: Settings) -> AsyncIterator[Group]:
    port = free_port()
    given = {"redis_url": settings.redis_url, "models_file": settings.models_file, "port": port}
    with running("api", **given, api_processes=COUNT) as process:
        group = Group(process.pid, f"http://127.0.0.1:{port}")

        async def all_serve() -> bool:
            return len(await answering(group)) == COUNT

        await until(lambda: alive(group.url))
        await until(group.complete)
        await until(all_serve)
        yield group


async def answering(group: Group) -> set[int]:
    """The members that have opened their subscription: they serve."""
    return {
        pid
        for pid in group.members()
        if any(c.status == psutil.CONN_ESTABLISHED for c in psutil.Process(pid).net_connections())
    }


async def test_they_are_one_to_whoever_asks(group: Group) -> None:
    async def submit(number: int) -> int:
        async with httpx.AsyncClient(base_url=group.url, timeout=60) as client:
            return (await client.post("/v1/jobs", json={"inputs": f"text {number}"})).status_code

    answers = await asyncio.gather(*(submit(number) for number in range(40)))
    assert set(answers) == {202}
    assert [await group.submitted() for _ in range(10)] == [40] * 10, "whichever answers tells of all"


async def test_one_that_dies_is_replaced_and_its_counts_stay(group: Group) -> None:
    async with httpx.AsyncClient(base_url=group.url, timeout=60) as client:
        await client.post("/v1/jobs", json={"inputs": "text"})
    before = group.members()
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    async def replaced() -> bool:
        return len(group.members() - before) == COUNT

    await until(replaced)
    await until(lambda: alive(group.url))
    assert await group.submitted() == 1


async def test_a_signal_stops_all(group: Group) -> None:
    members = [psutil.Process(pid) for pid in group.members()]
    group.parent.terminate()
    assert await asyncio.to_thread(group.parent.wait, 60) == 0
    assert not any(member.is_running() for member in members)


async def test_none_survives_its_parent(group: Group) -> None:
    members = [psutil.Process(pid) for pid in group.members()]
    group.parent.kill()

    async def gone() -> bool:
        return not any(m.is_running() and m.status() != psutil.STATUS_ZOMBIE for m in members)

    await until(gone)


def test_one_that_cannot_run_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "TRIES", 2)
    monkeypatch.setattr(processes, "STEADY", 600.0)  # a busy machine takes its time to import
    monkeypatch.setenv("BATCHLINE_MODELS_FILE", str(tmp_path / "gone.toml"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert processes.serve(listener, 2) == 1
    assert not any("--shared" in child.cmdline() for child in psutil.Process().children())
