"""The load generator's client, against a server with chosen answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bench.errors import BenchError
from bench.http import Connection, Request, post
from bench.load import generate
from bench.plan import Load, Plan

Answer = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Server:
    """Reads whole requests and has `answer` write to each; notes what it saw."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.connections = 0
        self.bodies: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
                self.bodies.append(body)
                await self.answer(writer, body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[tuple[Server, int]]:
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield server, listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


class Notes:
    """A Source of so many requests that writes down what became of them."""

    def __init__(self, count: int) -> None:
        self.left = [Request(number, post("/", f"{number}".encode())) for number in range(count)]
        self.answers: list[tuple[int, int, bytes]] = []
        self.broken: list[tuple[int, str]] = []

    def take(self) -> Request | None:
        return self.left.pop(0) if self.left else None

    def answered(self, request: Request, status: int, body: bytes, seconds: float) -> None:
        assert seconds > 0
        self.answers.append((request.number, status, body))

    def failed(self, request: Request, reason: str) -> None:
        self.broken.append((request.number, reason))


async def ask(port: int, count: int) -> Notes:
    """One connection's requests, until it is closed."""
    notes = Notes(count)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        _, connection = await loop.create_connection(lambda: Connection(notes), "127.0.0.1", port)
        await connection.closed
    return notes


async def good(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(GOOD)


async def in_pieces(writer: asyncio.StreamWriter, body: bytes) -> None:
    for place in range(len(GOOD)):
        writer.write(GOOD[place : place + 1])
        await writer.drain()
        await asyncio.sleep(0)


async def refusal(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\nretry-after: 1\r\n\r\nbusy")


async def close_connection(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.close()


async def half(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(GOOD[:-2])
    await writer.drain()
    writer.close()


async def twice(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(GOOD + GOOD)


async def in_chunks(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")


async def nothing(writer: asyncio.StreamWriter, body: bytes) -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("answer", [good, in_pieces])
async def test_one_connection_serves_all_requests_in_order(answer: Answer) -> None:
    async with serving(answer) as (server, port):
        notes = await ask(port, 4)
    assert notes.answers == [(number, 200, b"hello") for number in range(4)]
    assert notes.broken == []
    assert server.connections == 1
    assert server.bodies == [b"0", b"1", b"2", b"3"]


async def test_a_request_is_sent_only_after_the_answer_before() -> None:
    under_way, most = 0, 0

    async def slowly(writer: asyncio.StreamWriter, body: bytes) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.005)
        assert not writer.is_closing()
        under_way -= 1
        writer.write(GOOD)

    async with serving(slowly) as (server, port):
        notes = await ask(port, 3)
    assert (most, len(notes.answers), server.connections) == (1, 3, 1)


async def test_an_error_status_is_an_answer() -> None:
    async with serving(refusal) as (_, port):
        notes = await ask(port, 2)
    assert notes.answers == [(0, 503, b"busy"), (1, 503, b"busy")]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (close_connection, "the connection was closed"),
        (half, "the connection was closed"),
        (twice, "more than one answer"),
        (in_chunks, "cannot be parsed"),
    ],
)
async def test_what_cannot_be_counted_breaks_the_connection_once(answer: Answer, reason: str) -> None:
    async with serving(answer) as (_, port):
        notes = await ask(port, 3)
    assert [number for number, _ in notes.broken] == [0]
    assert reason in notes.broken[0][1]
    assert notes.answers == []


def plan(port: int, **changed: object) -> Plan:
    fields: dict[str, object] = {
        "clients": 2,
        "seconds": 0.05,
        "warm_up": 0.02,
        "limit": 60.0,
        "contains": "hello",
    }
    fields["bodies"] = ["0", "1", "2"]
    return Plan(port=port, path="/", **{**fields, **changed})  # type: ignore[arg-type]


async def load(answer: Answer, **changed: object) -> Load:
    async with serving(answer) as (_, port):
        return await generate(plan(port, **changed))


async def test_a_load_counts_whole_passes_over_the_bodies() -> None:
    figures = await load(good, keep=[1])
    assert figures.errors == 0
    assert figures.passes == figures.requests / 3 == figures.requests // 3
    assert figures.answered > figures.requests > 0
    assert 0.05 <= figures.seconds < figures.elapsed
    assert 0 < figures.p50 <= figures.p95 <= figures.p99 <= figures.longest
    assert figures.mixture == pytest.approx(1)
    assert figures.cpu > 0
    assert figures.kept == {1: "hello"}


@pytest.mark.parametrize("changed", [{"answer": refusal}, {"answer": good, "contains": "goodbye"}])
async def test_a_load_counts_wrong_answers_as_errors(changed: dict[str, object]) -> None:
    figures = await load(**changed)  # type: ignore[arg-type]
    assert figures.errors == figures.answered > 0
    assert figures.error.startswith(("503: busy", "200: hello"))


async def test_a_load_without_connections_ends() -> None:
    with pytest.raises(BenchError, match="2 errors, the connection was closed"):
        await load(close_connection)


async def test_a_load_without_answers_ends() -> None:
    with pytest.raises(BenchError, match=r"did not end within 0\.1 s"):
        await load(nothing, limit=0.1)


async def test_a_load_does_not_wait_long_for_a_whole_pass() -> None:
    async def slowly(writer: asyncio.StreamWriter, body: bytes) -> None:
        await asyncio.sleep(0.01)
        writer.write(GOOD)

    figures = await load(slowly, bodies=["0"] * 1000, patience=0.2)
    assert figures.errors == 0
    assert 0 < figures.passes < 1
    assert figures.seconds >= 0.2
