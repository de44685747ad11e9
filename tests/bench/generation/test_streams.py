"""The load generator for streams, against a server with chosen answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bench.errors import BenchError
from bench.generation.dialects import Piece, batchline, completions
from bench.generation.http import Event, parse, request
from bench.generation.streams import Streams, generate
from bench.generation.workload import Workload

WORK = Workload(["one two", "three"], [3, 2])
Answer = Callable[[str, str, dict[str, object]], list[bytes] | tuple[int, bytes]]
"""Takes method, path and body; returns the parts of a stream, or a status and a body."""


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path = head.split()[:2]
        length = int(head.partition("content-length: ")[2].split("\r\n")[0] or 0)
        given = answer(method, path, json.loads(await reader.readexactly(length) or b"{}"))
        if isinstance(given, tuple):
            writer.write(
                b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (given[0], len(given[1])) + given[1]
            )
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for part in [*given, b""]:
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


def outputs(*words: str) -> list[bytes]:
    """Events of a job, split in the middle of a line."""
    events = "".join(
        f"id: {at}\nevent: output\ndata: {json.dumps({'index': 0, 'text': word, 'tokens': at})}\n\n"
        for at, word in enumerate(words, 1)
    )
    whole = f"event: queued\ndata: {{}}\n\n: keep-alive\n\n{events}event: succeeded\ndata: {{}}\n\n".encode()
    return [whole[:37], whole[37:]]


def test_events_are_parsed() -> None:
    assert parse("event: output\ndata: {}") == Event("output", "{}")
    assert parse("data:a\ndata: b") == Event("message", "a\nb")
    assert parse(": keep-alive") is None


async def test_a_jobs_output_events_are_its_pieces() -> None:
    def answer(method: str, path: str, body: dict[str, object]) -> list[bytes] | tuple[int, bytes]:
        return (202, b'{"id": "x"}') if method == "POST" else outputs(" a", " b")

    async with serving(answer) as port:
        pieces = [piece async for piece in batchline(port, "m", "p", 2)]
    assert pieces == [Piece(" a", 1), Piece(" b", 1)]


async def test_completions_are_counted_in_words() -> None:
    def answer(method: str, path: str, body: dict[str, object]) -> list[bytes] | tuple[int, bytes]:
        assert (body["max_tokens"], body["stream"]) == (3, True)
        chunks = [{"choices": [{"text": text}]} for text in (" a b", " c", "")]
        return [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]

    async with serving(answer) as port:
        pieces = [piece async for piece in completions(port, "m", "p", 3)]
    assert pieces == [Piece(" a b", 2), Piece(" c", 1)]


@pytest.mark.parametrize("dialect", [batchline, completions])
async def test_a_refusal_is_reported(dialect: Callable[..., AsyncIterator[Piece]]) -> None:
    async with serving(lambda *_: (422, b"no such field: stream")) as port:
        with pytest.raises(BenchError, match="422: no such field"):
            [piece async for piece in dialect(port, "m", "p", 2)]


@pytest.mark.parametrize("ending", ["failed", "cancelled", "restarted"])
async def test_a_job_that_does_not_succeed_is_reported(ending: str) -> None:
    def answer(method: str, path: str, body: dict[str, object]) -> list[bytes] | tuple[int, bytes]:
        return (202, b'{"id": "x"}') if method == "POST" else [f"event: {ending}\ndata: {{}}\n\n".encode()]

    async with serving(answer) as port:
        with pytest.raises(BenchError, match=ending):
            [piece async for piece in batchline(port, "m", "p", 2)]


async def test_a_body_can_have_a_length() -> None:
    async with serving(lambda *_: (200, b"hello")) as port, request(port, "GET", "/") as answer:
        assert (answer.status, await answer.body()) == (200, b"hello")


def streams(port: int, **changed: object) -> Streams:
    fields: dict[str, object] = {"seconds": 2.0, "warm_up": 0.01, "clients": 2}
    return Streams(port=port, dialect="batchline", model="m", workload=WORK, **{**fields, **changed})  # type: ignore[arg-type]


def answered(method: str, path: str, body: dict[str, object]) -> list[bytes] | tuple[int, bytes]:
    return (202, b'{"id": "x"}') if method == "POST" else outputs(" a", " b", " c")


@pytest.mark.parametrize("load", [{}, {"passes": 3}, {"rate": 50.0}], ids=["closed", "counted", "poisson"])
async def test_streams_are_measured(load: dict[str, object]) -> None:
    async with serving(answered) as port:
        found = await generate(streams(port, **load))
    assert found.timing.requests == 6 if load == {"passes": 3} else found.timing.requests > 0
    assert found.timing.rate > 0
    assert 0 < found.timing.first_p50 <= found.timing.first_p95
    assert set(found.texts.values()) == {" a b c"}


async def test_a_server_without_partial_answers_is_reported() -> None:
    def answer(method: str, path: str, body: dict[str, object]) -> list[bytes] | tuple[int, bytes]:
        return (202, b'{"id": "x"}') if method == "POST" else [b"event: succeeded\ndata: {}\n\n"]

    async with serving(answer) as port:
        with pytest.raises(BenchError, match="without any partial answer"):
            await generate(streams(port))


async def test_a_server_that_closes_connections_is_reported() -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listener = await asyncio.start_server(close, "127.0.0.1", 0)
    async with listener:
        with pytest.raises(BenchError):
            await generate(streams(listener.sockets[0].getsockname()[1]))
