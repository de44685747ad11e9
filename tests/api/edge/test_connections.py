"""What clients do with their connections: they read slowly, ask ahead, and vanish."""

import asyncio
import re
import socket
import struct

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from structlog.testing import capture_logs

from api.edge import client_deadlines, connections, memory_budget
from api.edge.connections import Limits
from api.edge.http_protocol import HttpProtocol
from api.edge.memory_budget import OverBudget
from api.edge.server import config
from jobs.settings import Settings
from jobs.store.connection import cancel
from tests.api import api_process
from tests.api.api_process import parked, serving
from tests.ledger import JobQueue, run_one
from tests.waiting import until

SOON = 30.0
"""Seconds that anything here may take which ought to come at once."""
KIB = 1024


class Client:
    """A bare socket; `receive_buffer` are bytes that its system may take ahead."""

    def __init__(self, http: httpx.AsyncClient, receive_buffer: int | None = None) -> None:
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect(("127.0.0.1", http.base_url.port))
        self._socket.setblocking(False)

    async def ask(self, *paths: str) -> None:
        requests = "".join(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n" for path in paths)
        await self.send(requests.encode())

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def answer(self, rate: float) -> bool:
        """Reads an answer, so many bytes a second; whether all of it came."""
        loop = asyncio.get_running_loop()
        began, received, whole = loop.time(), 0, None
        while whole is None or received < whole:
            try:
                chunk = await loop.sock_recv(self._socket, 4 * KIB)
            except ConnectionResetError:
                return False
            if whole is None and (head := re.search(rb"content-length: (\d+)\r\n(.+\r\n)*\r\n", chunk)):
                whole = head.end() + int(head[1])
            if not chunk:
                return False
            received += len(chunk)
            await asyncio.sleep(began + received / rate - loop.time())
        return True

    def vanish(self, *, politely: bool) -> None:
        """FIN, as when a client is closed; or RST, as when it crashes."""
        if not politely:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


async def submitted(http: httpx.AsyncClient) -> str:
    """The path of a job that waits."""
    return str((await http.post("/v1/jobs", json={"inputs": "x"})).json()["urls"]["self"])


async def ended(http: httpx.AsyncClient, queue: JobQueue, size: int) -> str:
    """The path of a result of so many bytes."""
    path = await submitted(http)
    await run_one(queue, [{"output": "x" * size}])
    return f"{path}/result"


@pytest.mark.usefixtures("fair")
@pytest.mark.parametrize(
    ("receive_buffer", "every", "rate"),
    [(4 * KIB, 0.2, 128 * KIB), (None, 0.2, 128 * KIB), (4 * KIB, 1.0, 520 * KIB)],
    ids=["slow", "slow, in lumps", "as far in each answer when it is looked at"],
)
async def test_a_reader_that_keeps_pace_gets_every_answer(
    settings: Settings,
    queue: JobQueue,
    monkeypatch: pytest.MonkeyPatch,
    receive_buffer: int | None,
    every: float,
    rate: float,
) -> None:
    """On one connection, in whatever lumps its system takes them."""
    monkeypatch.setattr(client_deadlines, "MIN_RATE", 64 * KIB)
    monkeypatch.setattr(client_deadlines, "RATE_PERIOD", every)
    async with serving(settings) as (http, _):
        path = await ended(http, queue, 250 * KIB)
        client = Client(http, receive_buffer)
        for _ in range(3):
            await client.ask(path)
            assert await client.answer(rate)
        client.vanish(politely=True)


async def test_a_reader_that_stops_is_hung_up_on(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much it took before: it can be ahead by so much only."""
    monkeypatch.setattr(client_deadlines, "RATE_PERIOD", 0.1)
    monkeypatch.setattr(client_deadlines, "MAX_CREDIT", 1 * KIB)
    async with serving(settings) as (http, _):
        large = await ended(http, queue, 8 * KIB * KIB)
        client = Client(http)
        await client.ask(large, large)
        with capture_logs() as logs:
            assert await client.answer(1e9)

            async def hung_up() -> bool:
                return [entry["event"] for entry in logs] == ["client too slow"]

            await until(hung_up, SOON)
        client.vanish(politely=True)


@pytest.mark.usefixtures("fair")
async def test_the_time_between_requests_begins_when_the_answer_has_been_taken(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hasty(app: FastAPI) -> uvicorn.Config:
        made = config(app)
        made.timeout_keep_alive = 0.5  # type: ignore[assignment]
        return made

    monkeypatch.setattr(api_process, "config", hasty)
    async with serving(settings) as (http, _):
        path = await ended(http, queue, 200 * KIB)
        client = Client(http, 4 * KIB)
        for _ in range(2):
            await client.ask(path)
            assert await client.answer(100 * KIB)
        client.vanish(politely=True)


@pytest.mark.parametrize("politely", [True, False])
@pytest.mark.parametrize("part", ["?wait=60", "/events"])
async def test_a_client_that_asked_ahead_and_vanishes_waits_no_more(
    settings: Settings, caplog: pytest.LogCaptureFixture, part: str, politely: bool
) -> None:
    async with serving(settings) as (http, services):
        path = await submitted(http) + part
        client = Client(http)
        await client.ask(path, path, path)
        await parked(services)
        client.vanish(politely=politely)
        async with asyncio.timeout(SOON):
            await parked(services, 0)
    assert [entry.getMessage() for entry in caplog.records if entry.exc_info] == []


async def test_a_connection_whose_next_request_runs_is_not_idle(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked ahead, so its turn comes with the answer before; it makes no room for others."""
    monkeypatch.setattr(connections, "FRESH", 0.0)
    monkeypatch.setattr(Limits, "of_process", lambda: Limits(2, 16))
    async with serving(settings) as (http, services):
        path = await submitted(http)
        client = Client(http)
        await client.ask(path, f"{path}?wait=60")
        assert await client.answer(1e9)
        await parked(services)
        others = []
        for _ in range(3):
            others.append(Client(http))
            await others[-1].ask("/health/live")
            assert await others[-1].answer(1e9)
        await run_one(queue)
        assert await client.answer(1e9)
        for each in (client, *others):
            each.vanish(politely=True)


async def test_an_answer_that_nobody_takes_gives_its_memory_to_others(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection ends, and what waited in it counts no more."""
    for module in (memory_budget, client_deadlines):
        monkeypatch.setattr(module, "STALL_SECONDS", 0.1)
    async with serving(settings) as (http, services):
        budget = services.budget
        results = 8 * KIB * KIB
        path = await ended(http, queue, results)
        client = Client(http, 4 * KIB)
        await client.ask(path)

        async def waits_for_its_client() -> bool:
            return budget.held > results + len('[{"output":""}]')

        await until(waits_for_its_client, SOON)

        async def has_room() -> bool:
            try:
                budget.reserve(budget.limit)
            except OverBudget:
                return False
            return True

        await until(has_room, SOON)
        assert budget.held == budget.limit, "nothing else is held"
        assert not await client.answer(1e9)
        client.vanish(politely=True)


BODY = b"x" * 32 * KIB
MAX_CREDIT = {
    "requests": b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n",
    "bodies": b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY),
}
OFFERED = 32 * KIB * KIB
"""Bytes; more than the systems on both sides buffer."""
READ = 256 * KIB
"""Bytes that one read may have."""


@pytest.mark.parametrize("what", MAX_CREDIT)
async def test_no_more_is_read_of_a_client_that_asks_far_ahead(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Its requests wait in its system while the first is answered."""
    ahead: list[int] = []
    update_reading = HttpProtocol.update_reading

    def noted(self: HttpProtocol) -> None:
        ahead.append(sum(len(cycle.body) for cycle, _ in self.pipeline) + 40 * len(self.pipeline))
        update_reading(self)

    monkeypatch.setattr(HttpProtocol, "update_reading", noted)
    async with serving(settings) as (http, services):
        path = await submitted(http)
        client = Client(http)
        await client.ask(f"{path}?wait=60")
        await parked(services)
        offering = asyncio.create_task(client.send(MAX_CREDIT[what] * (OFFERED // len(MAX_CREDIT[what]))))

        async def begun() -> bool:
            return len(ahead) > 3

        await until(begun, SOON)
        async with httpx.AsyncClient(base_url=http.base_url, timeout=60) as others:
            for _ in range(50):
                assert (await others.get("/health/live")).status_code == 200
        assert not offering.done(), "it was read"
        assert max(ahead) < 3 * READ
        await cancel(offering)
        client.vanish(politely=False)
