"""Answers are compressed for clients that accept it: large JSON only, and only a few at once."""

import asyncio
import gzip
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from api.edge import compression, memory_budget
from api.edge.compression import MAX_CONCURRENT, MIN_SIZE, accepts_gzip
from api.waiting.large_results import PIECE, HeldResults
from jobs.settings import MIB, Settings
from tests.api.api_process import mounted, serving
from tests.jobs.ledger.test_queue import new_job
from tests.ledger import JobQueue, run_one
from tests.waiting import until

GZIP = {"accept-encoding": "gzip"}
PLAIN = {"accept-encoding": "identity"}

noise = random.Random(1)


def results_of(size: int) -> list[dict[str, Any]]:
    """That gzip makes smaller by half at most."""
    return [{"output": noise.randbytes(500).hex()} for _ in range(size // 1_014)]


async def ended(queue: JobQueue, size: int) -> str:
    """The path of a job whose results have so many bytes."""
    job, _ = await queue.submit(new_job())
    await run_one(queue, results_of(size))
    return f"/v1/jobs/{job.id}"


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Over a real socket."""
    async with serving(settings) as (client, _):
        yield client


async def raw(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> tuple[httpx.Headers, bytes]:
    """The answer's headers and its body as it was sent."""
    async with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        return answer.headers, b"".join([part async for part in answer.aiter_raw()])


@pytest.mark.parametrize("size", [MIN_SIZE + 2048, 200 * 1024, 3 * MIB])
@pytest.mark.parametrize("suffix", ["", "/result"])
async def test_a_large_answer_is_compressed(
    client: httpx.AsyncClient, queue: JobQueue, size: int, suffix: str
) -> None:
    path = await ended(queue, size) + suffix
    headers, plain = await raw(client, path, PLAIN)
    assert "content-encoding" not in headers
    assert headers["vary"] == "accept-encoding"
    assert headers["content-length"] == str(len(plain))
    headers, body = await raw(client, path, GZIP)
    assert headers["content-encoding"] == "gzip"
    assert headers["vary"] == "accept-encoding"
    assert headers["content-type"] == "application/json"
    assert headers.get("content-length", str(len(body))) == str(len(body))
    assert len(body) < 0.7 * len(plain)
    assert gzip.decompress(body) == plain
    assert (await client.get(path, headers=GZIP)).json()


async def test_small_answers_streams_and_pages_are_not(client: httpx.AsyncClient, queue: JobQueue) -> None:
    small, large = await ended(queue, 10 * 1024), await ended(queue, 200 * 1024)
    for path in (small, f"{small}/result", f"{large}/events", "/docs", "/health/live", "/metrics"):
        headers, _ = await raw(client, path, GZIP)
        assert not {"content-encoding", "vary"} & set(headers), path
    refused = await client.get("/v1/jobs/unknown", headers=GZIP)
    assert "content-encoding" not in refused.headers


async def test_listings_and_the_description_are_compressed(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    for _ in range(60):
        await queue.submit(new_job())
    for path in ("/v1/jobs?limit=60", "/openapi.json"):
        headers, body = await raw(client, path, GZIP)
        assert headers["content-encoding"] == "gzip"
        assert gzip.decompress(body) == (await raw(client, path, PLAIN))[1]


async def test_only_a_few_answers_are_compressed_at_once(client: httpx.AsyncClient, queue: JobQueue) -> None:
    """A further one is sent plain at once; nobody waits."""
    path = await ended(queue, 24 * MIB)
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(client.stream("GET", path, headers=GZIP))
            for _ in range(MAX_CONCURRENT + 1)
        ]
        encodings = [answer.headers.get("content-encoding") for answer in streams]
        assert encodings == ["gzip"] * MAX_CONCURRENT + [None]
        bodies = await asyncio.gather(*(answer.aread() for answer in streams))
        assert len(set(bodies)) == 1
    assert (await raw(client, path, GZIP))[0]["content-encoding"] == "gzip"
    assert not compression._busy


async def test_a_compressed_answer_that_is_cut_off_is_no_whole_one(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_budget, "STALL_SECONDS", 0.1)
    first, second = [await ended(queue, 24 * MIB) for _ in range(2)]
    async with (
        serving(settings.model_copy(update={"memory_budget": 32 * MIB})) as (client, _),
        client.stream("GET", first, headers=GZIP) as stalled,
    ):
        assert stalled.headers["content-encoding"] == "gzip"
        assert len((await client.get(second, headers=PLAIN)).content) > 23 * MIB
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await stalled.aread()
    assert not compression._busy


async def test_nothing_is_compressed_for_a_client_that_has_gone(
    client: httpx.AsyncClient, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, taken = await ended(queue, 24 * MIB), 0
    pieces = HeldResults.pieces

    async def counted(held: HeldResults) -> AsyncIterator[bytes]:
        nonlocal taken
        async for piece in pieces(held):
            taken += 1
            yield piece

    async def over() -> bool:
        return not compression._busy

    monkeypatch.setattr(HeldResults, "pieces", counted)
    async with client.stream("GET", path, headers=GZIP) as answer:
        assert answer.headers["content-encoding"] == "gzip"
    await until(over)
    assert taken < 24 * MIB / PIECE / 2


async def test_it_works_beside_cors(settings: Settings, queue: JobQueue) -> None:
    path = await ended(queue, 200 * 1024)
    cors = settings.model_copy(update={"cors_origins": "https://app.example.org"})
    async with mounted(cors) as (client, _):
        headers, _ = await raw(client, path, GZIP | {"origin": "https://app.example.org"})
        assert headers["vary"] == "accept-encoding, Origin"
        assert headers["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("values", "accepts"),
    [
        ([], False),
        ([""], False),
        (["gzip"], True),
        (["deflate, GZIP;q=0.5, br"], True),
        (["br", "gzip"], True),
        (["x-gzip"], True),
        (["*"], True),
        (["gzip;q=0"], False),
        (["gzip ; q=0.0, *"], False),
        (["*;q=0"], False),
        (["identity"], False),
        (["gzipped, xgzip"], False),
        (["gzip;q=nonsense"], False),
        (["gzip;q=1.1.1"], False),
        (["gzip;level=9"], False),
        ([",,gzip,"], True),
    ],
)
def test_what_a_client_accepts(values: list[str], accepts: bool) -> None:
    headers = [(b"accept", b"gzip"), *((b"accept-encoding", value.encode()) for value in values)]
    assert accepts_gzip({"headers": headers}) is accepts
