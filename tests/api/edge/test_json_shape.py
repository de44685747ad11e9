"""Large bodies full of structure: refused in words, and nobody waits meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis

from api.v1 import large_bodies
from api.v1.submission import parse, parse_large
from jobs.errors import InvalidRequest
from jobs.ledger.envelope import Envelope
from jobs.ledger.wire import encode_payload
from jobs.models import ModelCatalog, load_catalog
from jobs.settings import MIB
from tests.api import floods
from tests.api.conftest import MODELS
from tests.api.corpus import shapes
from tests.api.floods import slowest

SOON = 1.0
"""Seconds; while one such body was decoded all others once waited for two to three."""
WIDE = MODELS + "max_input_chars = 8_000_000\n"
LISTS = b"[%b[]]" % (b"[]," * (8 * MIB // 3 - 100))

HEAVY = {
    "lists in a parameter": b'{"model":"shapes","inputs":1,"parameters":{"shape":{"a":%b}}}' % LISTS,
    "lists for inputs": shapes(LISTS),
    "lists in one input": shapes(b"[%b]" % LISTS),
    "objects in one input": shapes(b"[%b]" % LISTS.replace(b"[]", b"{}")),
    "lists where texts belong": b'{"inputs":%b}' % LISTS,
    "empty texts": b'{"inputs":%b}' % LISTS.replace(b"[]", b'""'),
    "an unknown field": b'{"inputs":1,"x":%b}' % LISTS,
}


@pytest.fixture
async def api(tmp_path: Path, redis: ArqRedis, redis_url: str) -> AsyncIterator[floods.Api]:
    async with floods.serving(tmp_path, WIDE, redis_url) as api:
        yield api


@pytest.mark.attack(
    "bodies of 8 MB full of empty lists",
    held="other requests are answered within a second meanwhile",
)
async def test_nobody_waits_for_a_body_full_of_lists(api: floods.Api) -> None:
    async with floods.client(api) as client, httpx.AsyncClient(base_url=api.url) as other:

        async def send() -> None:
            for name, body in HEAVY.items():
                answer = await client.post(
                    "/v1/jobs", content=body, headers={"content-type": "application/json"}
                )
                problem = answer.json()
                assert (answer.status_code, problem["type"].rpartition(":")[2]) == (422, "invalid-request"), (
                    name
                )

        assert await slowest(other, asyncio.gather(send(), send())) < SOON


@lru_cache
def catalog(folder: Path) -> ModelCatalog:
    path = folder / "models.toml"
    path.write_text(MODELS)
    return load_catalog(path)


GOOD = [
    b'{"inputs":"a","priority":"high","expires_in":5}',
    b'{"inputs": [ "a" , "\\u00e4\\n\xc3\xa4" ] , "parameters" : {"top_k": 3}}',
    b'{"inputs":["a"],"inputs":"b"}',
    b'{"inputs":%b}' % msgspec.json.encode(["text"] * 1000),
    shapes(b'[{"a":[1,-2,3.5,1e300,null,true]},"x",[],[[{}]]]'),
    shapes(b'{"a":18446744073709551615}'),
    shapes(b'"%b"' % (b"[" * 90_000)),
]
BAD = [
    b"",
    b"{",
    b'{"model":"shapes"}',
    b'{"inputs":"a","top":1}',
    b'{"inputs":"a","parameters":[]}',
    b'{"inputs":"a","parameters":{"top_k":0}}',
    b'{"inputs":"a","parameters":{"nix":0}}',
    b'{"inputs":"a","priority":"urgent"}',
    b'{"inputs":"a","expires_in":0}',
    b'{"inputs":"a","model":"nix"}',
    b'{"inputs":[]}',
    b'{"inputs":["a",1]}',
    b'{"inputs":{"a":1}}',
    b'{"inputs":%b}' % msgspec.json.encode(["text"] * 1001),
    b'{"inputs":"%b"}' % (b"x" * 100_001),
    shapes(b'[1,"%b"]' % (b"x" * 100_001)),
    shapes(b"[1,18446744073709551616]"),
    shapes(b"[%b1%b]" % (b"[" * 100, b"]" * 100)),
    shapes(b"[" * 100_000),
]


@pytest.mark.parametrize("body", GOOD, ids=range(len(GOOD)))
def test_a_large_body_is_the_same_job_as_a_small_one(tmp_path: Path, body: bytes) -> None:
    """To the byte: an idempotency key must find the same request again."""
    small, large = parse(body, catalog(tmp_path)), parse_large(bytearray(body), catalog(tmp_path))
    assert encode_payload(small.inputs, Envelope()) == encode_payload(large.inputs, Envelope())
    assert msgspec.structs.replace(small, inputs=0) == msgspec.structs.replace(large, inputs=0)


@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_a_large_body_is_refused_as_a_small_one(tmp_path: Path, body: bytes) -> None:
    for read in (parse, parse_large):
        with pytest.raises(InvalidRequest) as caught:
            read(bytearray(body), catalog(tmp_path))
        assert str(caught.value)


def test_brackets_in_texts_are_no_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_bodies, "MAX_CONTAINERS", 3)
    taken = bytearray(shapes(b'{"a":["[[{{","\\"[[",[]]}'))
    assert parse_large(taken, catalog(tmp_path)).count == 1
    with pytest.raises(InvalidRequest, match="4 lists and objects in one input are more than 3"):
        parse_large(bytearray(shapes(b'{"a":["[[{{",[],[]]}')), catalog(tmp_path))
