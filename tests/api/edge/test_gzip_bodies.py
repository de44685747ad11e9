"""Requests that are compressed: as if they were plain, within the same limits, and bombs are not inflated."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from arq.connections import ArqRedis

from api.edge.gzip_bodies import MAX_MEMBERS, PIECE, Decompression
from jobs.errors import InvalidRequest
from jobs.ledger import keys
from jobs.ledger.wire import decode_payload
from jobs.settings import MIB, Settings
from tests.api import floods
from tests.api.api_process import mounted, serving
from tests.api.conftest import MODELS
from tests.api.floods import LARGE
from tests.conftest import written
from tests.ledger import JobQueue

TYPE = "urn:batchline:problem:"
HEADERS = {"content-type": "application/json", "content-encoding": "gzip"}
TEXT = b'{"inputs": "A wonderful film."}'
EMPTY_MEMBER = gzip.compress(b"")


def bomb(size: int) -> bytes:
    """A JSON text of so many spaces, a thousandth as large."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * MIB
    parts = [packer.compress(b'{"inputs": "x"')]
    parts += [packer.compress(block) for _ in range(size // MIB)]
    return b"".join([*parts, packer.compress(b"}"), packer.flush()])


async def refused(client: httpx.AsyncClient, body: bytes, kind: str) -> str:
    """The refusal's detail."""
    answer = await client.post("/v1/jobs", content=body, headers=HEADERS)
    assert answer.json()["type"] == TYPE + kind, answer.text
    return str(answer.json()["detail"])


async def test_a_compressed_request_is_as_a_plain_one(client: httpx.AsyncClient, queue: JobQueue) -> None:
    key = {"idempotency-key": "k"}
    plain = await client.post("/v1/jobs", content=TEXT, headers={"content-type": "application/json"} | key)
    for encoding in ("gzip", "GZIP", "x-gzip", "identity, gzip"):
        headers = HEADERS | key | {"content-encoding": encoding}
        packed = await client.post("/v1/jobs", content=gzip.compress(TEXT), headers=headers)
        assert packed.json()["id"] == plain.json()["id"], "the same request has the same fingerprint"
    assert (await queue.inputs_of(plain.json()["id"])).inputs == ["A wonderful film."]


async def test_large_requests_and_several_members_are_read(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    half = len(LARGE) // 2
    for body in (gzip.compress(LARGE), gzip.compress(LARGE[:half]) + gzip.compress(LARGE[half:])):
        job = await client.post("/v1/jobs", content=body, headers=HEADERS)
        assert job.status_code == 202, job.text
        payload = await queue.redis.get(keys.JOB.of(job.json()["id"]))
        assert payload is not None
        assert decode_payload(payload).a[0] == json.loads(LARGE)["inputs"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda packed: packed[:-1], "is incomplete"),
        (lambda packed: packed[: len(packed) // 2], "is incomplete"),
        (lambda packed: packed[:5], "is incomplete"),
        (lambda packed: b"", "is incomplete"),
        (lambda packed: packed[:-8] + bytes(8), "is not valid gzip"),
        (lambda packed: packed + b"more", "is not valid gzip"),
        (lambda packed: packed + packed[:-3], "is incomplete"),
        (lambda packed: TEXT, "is not valid gzip"),
        (lambda packed: zlib.compress(TEXT), "is not valid gzip"),
        (lambda packed: EMPTY_MEMBER, "the body is empty"),
        (lambda packed: EMPTY_MEMBER * (MAX_MEMBERS + 1), f"more than {MAX_MEMBERS} gzip members"),
        (lambda packed: gzip.compress(packed), "not valid JSON"),
    ],
)
async def test_what_is_not_whole_gzip_is_refused(
    client: httpx.AsyncClient, redis: ArqRedis, spoil: Callable[[bytes], bytes], said: str
) -> None:
    assert said in await refused(client, spoil(gzip.compress(TEXT)), "invalid-request")
    assert await written(redis) == set()


async def test_another_encoding_says_which_is_understood(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/jobs", content=TEXT, headers=HEADERS | {"content-encoding": "br"})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip")


async def test_the_limit_is_of_what_is_decompressed(settings: Settings) -> None:
    limited = settings.model_copy(update={"max_request_bytes": 1_000})
    for size, fits in ((1_000, True), (1_001, False)):
        body = gzip.compress(TEXT + b" " * (size - len(TEXT)))
        assert len(body) < 100
        async with mounted(limited) as (client, _):
            if fits:
                assert (await client.post("/v1/jobs", content=body, headers=HEADERS)).status_code == 202
            else:
                assert "1000 bytes" in await refused(client, body, "payload-too-large")


async def test_a_body_of_nothing_without_end_is_refused(settings: Settings) -> None:
    """Blocks of deflate may be empty: what comes is limited as well as what it contains."""
    empty = zlib.compressobj(1, zlib.DEFLATED, 31)
    start = empty.compress(b"x") + empty.flush(zlib.Z_FULL_FLUSH)
    block = b"\x00\x00\x00\xff\xff"
    async with mounted(settings.model_copy(update={"max_request_bytes": 10_000})) as (client, services):
        assert "10000 bytes" in await refused(client, start + block * 10_000, "payload-too-large")
        assert services.budget.held == 0


async def test_what_is_decompressed_counts_in_the_budget(settings: Settings) -> None:
    async with serving(settings.model_copy(update={"memory_budget": 8 * MIB})) as (client, services):
        with services.budget.hold(2 * MIB):
            assert "no free memory" in await refused(client, bomb(4 * MIB), "server-busy")
            assert services.budget.held == 2 * MIB
            small = await client.post("/v1/jobs", content=bomb(MIB), headers=HEADERS)
            assert small.status_code == 202
        assert services.budget.held == 0


def test_no_piece_is_large() -> None:
    body = bomb(64 * MIB)
    pieces = Decompression().pieces(body)
    assert [len(next(pieces)) for _ in range(20)] == [PIECE] * 20, "the rest is not inflated"


def test_however_a_body_is_cut_it_is_the_same() -> None:
    body = gzip.compress(LARGE[: 300 * 1024]) + gzip.compress(b"end")
    for size in (1, 7, 1_000, len(body)):
        whole, reading = bytearray(), Decompression()
        for start in range(0, len(body), size):
            for piece in reading.pieces(body[start : start + size]):
                whole += piece
        reading.end()
        assert bytes(whole) == LARGE[: 300 * 1024] + b"end"
    with pytest.raises(InvalidRequest):
        Decompression().end()


@pytest.mark.attack(
    "a gzip bomb of 1 GiB, several at once",
    held="413 before it is inflated: the process's memory grows by no more than the limit of a request",
)
async def test_bombs_are_refused_before_they_fill_the_memory(
    tmp_path: Path, redis: ArqRedis, redis_url: str
) -> None:
    body = await asyncio.to_thread(bomb, 1024 * MIB)
    assert len(body) < 2 * MIB
    async with floods.serving(tmp_path, MODELS, redis_url) as api, floods.client(api) as client:
        await client.post("/v1/jobs", content=bomb(MIB), headers=HEADERS)
        before = api.peak()

        async def attack() -> None:
            answers = await asyncio.gather(
                *(client.post("/v1/jobs", content=body, headers=HEADERS) for _ in range(8))
            )
            assert [answer.status_code for answer in answers] == [413] * 8

        assert await floods.slowest(api, client, attack()) < 10
        assert api.peak() - before < 8 * (2 * 8 + 4), "MiB: eight bodies of 8 MiB each, copied once"
