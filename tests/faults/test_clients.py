"""Clients that are slow, silent or suddenly gone do not delay others, and their resources are freed."""

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from api.waiting.subscriber import MAX_QUEUED, Notice, Watch
from jobs.ledger.wire import Event
from tests.faults.clients import nonces
from tests.faults.proxy import reset
from tests.faults.scenario import scenario
from tests.faults.stack import Stack
from tests.waiting import until

DEADLINE = 30.0
"""Seconds within which every other client must have its answer, also on a busy machine."""
SOON = 3.0
MIB = 1024 * 1024
HURRIED = {
    "api.edge.client_deadlines.HEAD_SECONDS": SOON,
    "api.edge.client_deadlines.MIN_RATE": MIB,
    "api.edge.client_deadlines.RATE_PERIOD": SOON,
    "api.edge.client_deadlines.MAX_CREDIT": MIB,
    "api.edge.bodies.BODY_SECONDS": SOON,
}
"""Deadlines of seconds instead of minutes, but longer than a stall between two lines of a client."""


class Line:
    """A bare connection to an API, fully controlled by the test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, url: str, request: bytes = b"", receive_buffer: int | None = None) -> "Line":
        """`receive_buffer` is the number of bytes that the system may receive for an idle client."""
        end = socket.socket()
        end.setblocking(False)
        if receive_buffer is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(end, ("127.0.0.1", int(url.rpartition(":")[2])))
        limit = 2**16 if receive_buffer is None else 1024
        line = cls(*await asyncio.open_connection(sock=end, limit=limit))
        line.writer.write(request)
        return line

    @classmethod
    async def get(
        cls, url: str, path: str, *, receive_buffer: int | None = None, connection: str = "keep-alive"
    ) -> "Line":
        request = f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: {connection}\r\n\r\n"
        return await cls.open(url, request.encode(), receive_buffer)

    def vanish(self, *, politely: bool) -> None:
        """Sends FIN, like a client that is closed, or RST, like one that crashes."""
        if politely:
            self.writer.transport.abort()
        else:
            reset(self.writer)

    async def drip(self, data: bytes) -> None:
        """Sends a byte per second and ignores answers."""
        with contextlib.suppress(OSError):
            for byte in data:
                self.writer.write(bytes([byte]))
                await self.writer.drain()
                await asyncio.sleep(1)

    async def closed(self) -> bytes:
        """All bytes that the server sent before it disconnected."""
        received = b""
        with contextlib.suppress(OSError):
            while chunk := await self.reader.read(65_536):
                received += chunk
        return received


class Api:
    """An API process, observed from outside."""

    def __init__(self, stack: Stack, url: str) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self._process = psutil.Process(stack.apis[url].pid)

    @property
    def memory(self) -> int:
        used: int = self._process.memory_info().rss
        return used

    def connected(self) -> int:
        """Open connections of clients."""
        found = self._process.net_connections("tcp")
        return sum(each.laddr.port == self.port and each.status != psutil.CONN_LISTEN for each in found)

    async def waiters(self) -> int:
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            lines = (await client.get("/metrics")).text.splitlines()
        [line] = [line for line in lines if line.startswith("batchline_waiters ")]
        return int(float(line.split()[1]))

    async def all_waiting(self, count: int) -> bool:
        return await self.waiters() == count

    async def quiet(self) -> tuple[int, int]:
        """File descriptors (without those to Redis, which are kept) and threads, once no client is left."""

        async def nobody() -> bool:
            return self.connected() == 0

        await until(lambda: self.all_waiting(0))
        await until(nobody)
        to_redis = len(self._process.net_connections("tcp")) - 1
        return self._process.num_fds() - to_redis, self._process.num_threads()

    async def served(self, jobs: int = 60) -> list[float]:
        """Seconds of other clients' requests, in order; each submits a job and waits for it."""
        limits = httpx.Limits(max_connections=10)
        async with httpx.AsyncClient(base_url=self.url, timeout=DEADLINE, limits=limits) as client:
            took = []

            async def one(text: str) -> None:
                began = time.monotonic()
                answer = await client.post("/v1/jobs?wait=30", json={"inputs": text})
                assert answer.json()["status"] == "succeeded"
                took.append(time.monotonic() - began)

            for start in range(0, jobs, 10):
                await asyncio.gather(*(one(text) for text in nonces(min(10, jobs - start))))
        return sorted(took)


def print_latencies(what: str, took: Sequence[float]) -> None:
    middle, last = took[len(took) // 2], took[len(took) * 99 // 100]
    print(f"{what}: p50 {middle * 1000:.0f} ms, p99 {last * 1000:.0f} ms")  # noqa: T201 - to look at


@contextlib.asynccontextmanager
async def hurried(folder: Path, **how: int) -> AsyncIterator[tuple[Stack, Api]]:
    async with scenario(folder, apis=0, **how) as run:
        yield run.stack, Api(run.stack, await run.stack.api(deadlines=HURRIED))


async def large(url: str) -> str:
    """The path of a job with results of 4 MB."""
    inputs = [f"{nonce} many" for nonce in nonces(40)]
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        job = (await client.post("/v1/jobs?wait=60", json={"inputs": inputs})).json()
    assert job["status"] == "succeeded"
    return str(job["urls"]["self"])


@pytest.mark.attack(
    "clients ask for a large result and do not read it",
    held="they are disconnected, memory is freed, others are served",
)
async def test_readers_of_a_large_result_that_do_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 clients read one byte of each (job, results, events): they delay no other client, and are closed."""
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", str(MIB))  # so that free memory is returned to the system
    async with hurried(tmp_path) as (stack, api):
        path = await large(await stack.api())  # which does not hurry the test itself
        print_latencies("without slow readers", await api.served())
        before, grown = await api.quiet(), [api.memory]
        readers = list(itertools.product(("", "/result", "/events"), ("keep-alive", "close") * 10))
        for _ in range(3):
            lines = []
            for part, after in readers:
                line = await Line.get(api.url, path + part, receive_buffer=4096, connection=after)
                assert await line.reader.readexactly(1) == b"H", "its answer has begun"
                lines.append(line)
            with_them = await api.served()
            print_latencies("with 60 slow readers", with_them)
            assert with_them[-1] < DEADLINE
            assert await api.quiet() == before, "cut off, though they still hold their ends"
            grown.append(api.memory)
            for line in lines:
                line.vanish(politely=False)
        print([f"{memory / MIB:.1f} MiB" for memory in grown])  # noqa: T201 - to look at
        assert grown[3] - grown[1] < 16 * MIB, "of two rounds' 480 MB nothing is held"


@pytest.mark.thorough
@pytest.mark.timeout(300)
async def test_a_reader_on_a_thin_line_gets_all_of_it(tmp_path: Path) -> None:
    """A client that reads 40 kB/s, with the product's own deadlines."""
    async with scenario(tmp_path) as run:
        api = Api(run.stack, next(iter(run.stack.apis)))
        line = await Line.get(api.url, await large(api.url), receive_buffer=65_536)
        head = await line.reader.readuntil(b"\r\n\r\n")
        [size] = [int(field[16:]) for field in head.split(b"\r\n") if field.startswith(b"content-length: ")]
        received = 0
        while chunk := await line.reader.read(8_000):
            received += len(chunk)
            await asyncio.sleep(0.2)
        assert received == size
        line.vanish(politely=True)


@pytest.mark.attack(
    "waiting clients disconnect without notice",
    held="waiters, descriptors and threads return to their earlier numbers",
)
@pytest.mark.parametrize(
    ("polls", "streams", "rounds"),
    [(500, 100, 2), pytest.param(1_000, 500, 10, marks=[pytest.mark.thorough, pytest.mark.timeout(600)])],
)
async def test_waiting_clients_that_vanish(tmp_path: Path, polls: int, streams: int, rounds: int) -> None:
    async with scenario(tmp_path, workers=0) as run:
        api = Api(run.stack, next(iter(run.stack.apis)))
        async with httpx.AsyncClient(base_url=api.url, timeout=60) as client:
            path = (await client.post("/v1/jobs", json={"inputs": "x"})).json()["urls"]["self"]
        grown = [api.memory]
        before = await api.quiet()
        for _ in range(rounds):
            lines = [await Line.get(api.url, f"{path}?wait=60") for _ in range(polls)]
            lines += [await Line.get(api.url, f"{path}/events") for _ in range(streams)]
            await until(partial(api.all_waiting, polls + streams))
            for number, line in enumerate(lines):
                line.vanish(politely=number % 2 == 0)
            assert await api.quiet() == before
            grown.append(api.memory)
        print([f"{memory / MIB:.1f} MiB" for memory in grown])  # noqa: T201 - to look at
        assert grown[-1] - grown[1] < 8 * MIB * (rounds - 1), "the first round's memory was used again"


@pytest.mark.attack(
    "clients send the head or the body of a request slowly, or never",
    held="they are disconnected in time, others are served",
)
async def test_clients_that_send_slowly_or_never(tmp_path: Path) -> None:
    """Bodies and headers at a byte per second, or none: each is closed in time and delays no one."""
    async with hurried(tmp_path) as (_, api):
        print_latencies("without them", await api.served())
        before = await api.quiet()
        begun = b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
        bodies = [await Line.open(api.url, begun) for _ in range(100)]
        heads = [await Line.open(api.url, b"GET / HTTP/1.1\r\n") for _ in range(100)]
        answered = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
        heads += [await Line.open(api.url, answered + b"GET / HTTP/1.1\r\n") for _ in range(100)]
        mute = [await Line.open(api.url) for _ in range(100)]
        drips = [asyncio.create_task(line.drip(b"{" * 1000)) for line in bodies]
        drips += [asyncio.create_task(line.drip(b"x" * 1000)) for line in heads]
        took = await api.served()
        print_latencies("with 400 slow and mute clients", took)
        assert took[-1] < DEADLINE
        async with asyncio.timeout(DEADLINE):
            ends = await asyncio.gather(*(line.closed() for line in [*bodies, *heads, *mute]))
        assert {end[:12] for end in ends[:100]} == {b"HTTP/1.1 408"}
        assert all(b"request-timeout" in end for end in ends[:100])
        assert {end[:12] for end in ends[100:200]} == {b""}
        assert {end[:12] for end in ends[200:300]} == {b"HTTP/1.1 200"}
        assert set(ends[300:]) == {b""}
        assert await api.quiet() == before
        for drip in drips:
            drip.cancel()
        await asyncio.gather(*drips, return_exceptions=True)


async def test_a_slow_watcher_does_not_collect_events_without_limit() -> None:
    watch = Watch()
    for _ in range(10 * MAX_QUEUED):
        watch.notify(Event("id", "running"))
    watch.notify(Notice.RELEASED)
    for _ in range(10 * MAX_QUEUED):
        watch.notify(Event("id", "queued"))
    received = []
    while (update := await watch.next(0.0)) is not None:
        received.append(update)
    assert len(received) <= MAX_QUEUED + 1
    assert Notice.MISSED in received, "it reads again what it missed"
    assert received[-1] is Notice.RELEASED
