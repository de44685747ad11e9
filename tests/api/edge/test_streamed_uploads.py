"""Uploads of files: larger than memory, slow ones, clients that stall or leave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis
from starlette.requests import Request

from api.edge import memory_budget, streamed_bodies
from api.edge.bodies import STEP
from api.edge.connections import Connections, Limits
from api.edge.memory_budget import Budget, OverBudget
from api.edge.state import EdgeState
from api.problems.problem import Refusal
from api.services import Services
from bulk.files import keys
from jobs.settings import MIB, Settings
from jobs.store.connection import cancel
from tests.api import floods
from tests.api.api_process import serving
from tests.api.conftest import MODELS
from tests.bulk.contents import files_in
from tests.waiting import until

HEAD = b'--b\r\ncontent-disposition: form-data; name="file"; filename="large"\r\n\r\n'
TAIL = b'\r\n--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b--\r\n'
KIND = {"content-type": "multipart/form-data; boundary=b"}


async def body(size: int) -> AsyncIterator[bytes]:
    """A form with a file of that many bytes."""
    yield HEAD
    piece = bytes(MIB)
    for start in range(0, size, MIB):
        yield piece[: size - start]
    yield TAIL


async def upload(client: httpx.AsyncClient, size: int) -> httpx.Response:
    return await client.post("/v1/files", content=body(size), headers=KIND)


async def test_memory_does_not_grow_with_a_file(tmp_path: Path, redis_url: str) -> None:
    """64 MiB up and down, in a process that would have to hold them otherwise."""
    size = 64 * MIB
    data = tmp_path / "data"
    async with (
        floods.serving(tmp_path, MODELS, redis_url, data_dir=data) as api,
        httpx.AsyncClient(base_url=api.url, timeout=60) as client,
    ):
        assert (await upload(client, MIB)).status_code == 200
        before = api.peak()
        answer = await upload(client, size)
        assert answer.status_code == 200, answer.text
        received = 0
        async with client.stream("GET", f"/v1/files/{answer.json()['id']}/content") as content:
            async for piece in content.aiter_bytes():
                received += len(piece)
        assert received == size
        assert api.peak() - before < 24, f"{api.peak() - before:.0f} MiB more"


@asynccontextmanager
async def sending(
    client: httpx.AsyncClient, announced: int, sent: bytes
) -> AsyncIterator[asyncio.StreamReader]:
    """A client that has sent the first bytes of an upload, and no more."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    head = f"POST /v1/files HTTP/1.1\r\nhost: edge\r\ncontent-type: {KIND['content-type']}\r\n"
    writer.write(f"{head}content-length: {announced}\r\n\r\n".encode() + sent)
    await writer.drain()
    yield reader
    writer.close()


@pytest.fixture
def open_to_all(settings: Settings) -> Settings:
    return settings.model_copy(update={"allowed_hosts": "*", "memory_budget": 8 * MIB})


@pytest.fixture
async def served(open_to_all: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, Services]]:
    async with serving(open_to_all) as edge:
        yield edge


async def test_a_client_that_leaves_leaves_nothing(
    served: tuple[httpx.AsyncClient, Services], redis: ArqRedis, tmp_path: Path
) -> None:
    client, services = served
    folder = tmp_path / "files"

    async def receives() -> bool:
        return bool(folder.exists() and files_in(folder) and await redis.exists(keys.UPLOADS.of("")))

    async def has_nothing() -> bool:
        return not (files_in(folder) or await redis.exists(keys.UPLOADS.of("")) or services.budget.held)

    async with sending(client, 50 * MIB, HEAD + bytes(4 * MIB)):
        await until(receives)
        assert services.budget.held
    await until(has_nothing)


async def test_stalled_uploads_make_room_for_others(
    served: tuple[httpx.AsyncClient, Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, services = served
    monkeypatch.setattr(memory_budget, "STALL_SECONDS", 0.01)
    async with sending(client, 50 * MIB, HEAD) as one, sending(client, 50 * MIB, HEAD) as other:

        async def both() -> bool:
            return services.budget.held >= 2 * services.files.memory

        await until(both)
        assert (await upload(client, 10 * MIB)).status_code == 200
        answers = [asyncio.create_task(floods.status_of(each)) for each in (one, other)]
        await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        done = [answer.result() for answer in answers if answer.done()]
        await cancel(*answers)
        assert [status for status, _ in done] == [503]
        assert "retry-after: 1" in done[0][1]


async def test_a_client_that_stops_reading_stops_the_reads(
    served: tuple[httpx.AsyncClient, Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, services = served
    made = (await upload(client, 60 * MIB)).json()
    ended = asyncio.Event()
    content, read = services.files.content, 0

    async def noted(*what: Any) -> AsyncIterator[bytes]:
        nonlocal read
        try:
            async for piece in content(*what):
                read += len(piece)
                yield piece
        finally:
            ended.set()

    monkeypatch.setattr(services.files, "content", noted)
    async with client.stream("GET", f"/v1/files/{made['id']}/content") as answer:
        await anext(answer.aiter_bytes())
    async with asyncio.timeout(30):
        await ended.wait()
    assert read < 60 * MIB


class Slow:
    """A client that needs 20 seconds for each part of its body, by the clock that the edge reads."""

    def __init__(self, size: int, monkeypatch: pytest.MonkeyPatch, budget: int = 100 * MIB) -> None:
        self._size, self._now, self._parts = size, 0.0, 10
        monkeypatch.setattr(streamed_bodies, "time", SimpleNamespace(monotonic=lambda: self._now))
        self.budget = Budget(budget)
        state = EdgeState(self.budget, Connections(Limits.of_process()), lambda: None)
        self.request = Request(
            {"type": "http", "method": "POST", "headers": [], "state": {"edge": state}}, self._receive
        )

    async def _receive(self) -> Any:
        for _ in range(3):
            await asyncio.sleep(0)
        self._now += 20.0
        self._parts -= 1
        return {"type": "http.request", "body": bytes(self._size), "more_body": self._parts > 0}


async def test_a_steady_upload_may_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(streamed_bodies.PROGRESS_BYTES, monkeypatch)
    received = [len(piece) async for piece in streamed_bodies.pieces(slow.request, MIB, 100 * MIB, "")]
    assert sum(received) == 10 * streamed_bodies.PROGRESS_BYTES


async def test_an_upload_that_goes_on_keeps_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_budget, "STALL_SECONDS", 3600.0)
    slow = Slow(STEP, monkeypatch, budget=MIB)
    pieces = streamed_bodies.pieces(slow.request, MIB, 100 * MIB, "")
    await anext(pieces)
    with pytest.raises(OverBudget):
        slow.budget.reserve(MIB)
    await pieces.aclose()  # type: ignore[attr-defined]


async def test_an_upload_that_trickles_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(streamed_bodies.PROGRESS_BYTES // 10, monkeypatch)
    with pytest.raises(Refusal, match="less than 1048576 bytes"):
        async for _ in streamed_bodies.pieces(slow.request, MIB, 100 * MIB, ""):
            pass
