"""The process: it says in one sentence why it cannot start, and lets go of everybody when it stops."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from httpx_sse import aconnect_sse

from api import __main__ as process
from jobs.settings import Settings, load_settings
from tests import valkey
from tests.api.api_process import Process, environment, parked, serving
from tests.ledger import MODEL, JobQueue
from tests.ports import free_port
from tests.waiting import until

SOON = 30.0
"""Seconds within which a stopping server must have answered; its waits are for 60."""


@pytest.fixture
def own(settings: Settings) -> Iterator[Process]:
    started = Process(settings, free_port())
    yield started
    started.kill()


async def test_stopping_answers_the_parked_at_once_and_hangs_nobody(own: Process, queue: JobQueue) -> None:
    await own.answers()
    async with httpx.AsyncClient(base_url=own.url, timeout=90) as client:
        waits = [asyncio.create_task(client.post("/v1/jobs?wait=60", json={"inputs": "x"})) for _ in range(5)]

        async def all_in() -> bool:
            return (await queue.depth())[MODEL].waiting == 5

        await until(all_in)
        [claimed], _ = await queue.claim(MODEL, 1)
        read = asyncio.create_task(client.get(f"/v1/jobs/{claimed.id}?wait=60"))
        async with aconnect_sse(client, "GET", f"/v1/jobs/{claimed.id}/events") as source:
            stream = source.aiter_sse()
            assert (await anext(stream)).event == "running"

            async def all_parked() -> bool:
                return "\nbatchline_waiters 7.0\n" in (await client.get("/metrics")).text

            await until(all_parked)
            stopping = time.monotonic()
            own.terminate()
            answers = await asyncio.gather(*waits)
            assert [event async for event in stream] == [], "the stream ended"
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(answer.json()["status"] for answer in answers) == ["queued"] * 4 + ["running"]
    assert (await read).json()["status"] == "running"
    assert await own.ended() == 0
    assert time.monotonic() - stopping < SOON
    depth = (await queue.depth())[MODEL]
    assert (depth.waiting, depth.running) == (4, 1), "nothing is lost"


async def test_stopping_while_redis_is_away(settings: Settings, tmp_path: Path) -> None:
    """Waiting requests are answered with the last known state, and the server ends."""
    with valkey.running(tmp_path) as away:
        started = time.monotonic()
        async with serving(settings.model_copy(update={"redis_url": away.url()})) as (client, services):
            wait = asyncio.create_task(client.post("/v1/jobs?wait=60", json={"inputs": "x"}))
            await parked(services)

            async def accepted() -> bool:
                return (await services.ledger.shards.depth())[MODEL].waiting == 1

            await until(accepted)
            away.kill()
            services.subscriber.release_all()
            assert (await wait).status_code == 202
        assert time.monotonic() - started < 45, "the wait was for 60 s"
        away.start()


def test_what_cannot_work_is_said_in_one_sentence(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("jobs.process.logs.configure", lambda *_: None)  # it would outlive this test

    def sentence(settings: Settings, port: int) -> str:
        for name, value in environment(settings, port).items():
            monkeypatch.setenv(name, value)
        load_settings.cache_clear()
        assert process.main([]) == 1
        load_settings.cache_clear()
        out, err = capsys.readouterr()
        [line] = err.splitlines()
        assert out == ""
        return str(line)

    port = free_port()
    nobody = settings.model_copy(update={"redis_url": f"redis://:secret@127.0.0.1:{port}/0"})
    message = sentence(nobody, port)
    assert f"Redis at 127.0.0.1:{port}/0 cannot be reached" in message
    assert "secret" not in message
    missing = settings.model_copy(update={"models_file": tmp_path / "nix.toml"})
    assert "cannot read" in sentence(missing, port)
    assert "BATCHLINE_PORT" in sentence(settings, 70_000)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in sentence(settings, port)
