"""Large bodies full of structure: refused in words, and nobody waits meanwhile."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis
from hypothesis import given
from hypothesis import strategies as st

from api.edge import json_shape
from api.v1.submission.json_body import parse, parse_large
from jobs.catalog import ModelCatalog, load_catalog
from jobs.errors import InvalidRequest
from jobs.ledger.envelope import Envelope
from jobs.ledger.wire import encode_payload
from jobs.settings import MIB
from tests.api import floods
from tests.api.conftest import MODELS
from tests.api.corpus import shapes
from tests.api.floods import slowest

SOON = 0.1
"""Seconds that others may wait for such a body at most; they once waited for two to three."""
ROUNDS = 3
"""Tries, of which the best counts: a busy machine only adds to a figure."""
GROWTH = 150
"""MiB that the process may grow by; each body has 8 MB."""
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
    "keys": shapes(b"[{%b}]" % b",".join(b'"%d":1' % number for number in range(600_000))),
    "numbers": shapes(b"[[%b1]]" % (b"1," * 3_500_000)),
    "texts and lists": shapes(b"[[%b1]]" % (b'"",[],' * 1_200_000)),
    "escapes behind brackets": shapes(
        b'[["%b","%b"%b]]' % (b"[" * 100_001, b"\\n" * 3_500_000, b",[]" * 100_001)
    ),
    "escaped quotes": shapes(b'[["%b",%b1]]' % (b'\\"[' * 2_000_000, b"[]," * 100_001)),
}


@pytest.fixture
async def api(tmp_path: Path, redis: ArqRedis, redis_url: str) -> AsyncIterator[floods.Api]:
    async with floods.serving(tmp_path, WIDE, redis_url) as api:
        yield api


@pytest.mark.attack(
    "bodies of 8 MB full of lists, keys, numbers, escapes",
    held="other requests are answered within 100 ms meanwhile",
)
async def test_nobody_waits_for_a_body_full_of_structure(
    api: floods.Api, record_property: Callable[[str, object], None]
) -> None:
    """Beyond what they wait while the same bytes are sent to nobody, in the best of some rounds."""
    async with floods.client(api) as client, httpx.AsyncClient(base_url=api.url, timeout=60) as other:

        async def to_nobody() -> None:
            for body in HEAVY.values():
                assert (await client.post("/nowhere", content=body)).status_code == 404

        async def send() -> None:
            for name, body in HEAVY.items():
                answer = await client.post(
                    "/v1/jobs", content=body, headers={"content-type": "application/json"}
                )
                problem = answer.json()
                assert (answer.status_code, problem["type"].rpartition(":")[2]) == (422, "invalid-request"), (
                    name
                )

        extra = []
        before = api.peak()
        for _ in range(ROUNDS):
            idle = await slowest(api, other, asyncio.gather(to_nobody(), to_nobody()))
            extra.append(await slowest(api, other, asyncio.gather(send(), send())) - idle)
        record_property("measured", f"/health/live under bodies of structure: {min(extra):+.3f} s")
        assert min(extra) < SOON
        assert api.peak() < before + GROWTH


def stalled(work: Callable[[], object]) -> float:
    """Seconds that a thread computed at most before another thread could run, by the processor's clock."""
    started, gap, before = threading.Event(), 0.0, 0.0

    def run() -> None:
        started.set()
        with pytest.raises(InvalidRequest):
            work()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    with suppress(OSError):  # it has ended
        clock = time.pthread_getcpuclockid(thread.ident or 0)
        while thread.is_alive():
            now = time.clock_gettime(clock)
            gap, before = max(gap, now - before), now
            thread.join(0.001)
    thread.join()
    return gap


@pytest.mark.parametrize("name", HEAVY)
def test_a_body_full_of_structure_lets_other_threads_run(
    tmp_path: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    (tmp_path / "wide.toml").write_text(WIDE)
    wide = load_catalog(tmp_path / "wide.toml")
    gap = min(stalled(lambda: parse_large(bytearray(HEAVY[name]), wide)) for _ in range(ROUNDS))
    record_property("measured", f"{name}: other threads wait {gap:.3f} s")
    assert gap < SOON


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
    monkeypatch.setattr(json_shape, "MAX_CONTAINERS", 3)
    taken = bytearray(shapes(b'{"a":["[[{{:,","\\"[["]}'))
    assert parse_large(taken, catalog(tmp_path)).count == 1
    with pytest.raises(InvalidRequest, match="more than 3 lists, objects and keys"):
        parse_large(bytearray(shapes(b'{"a":["[[{{",[]]}')), catalog(tmp_path))


STRUCTURES = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(alphabet='"\\\\[]{},:nä', max_size=9),
    lambda part: (
        st.lists(part, max_size=5) | st.dictionaries(st.text('"\\\\,[:', max_size=4), part, max_size=5)
    ),
)


@given(STRUCTURES, st.integers(1, 40))
def test_marks_are_those_outside_of_texts(value: object, step: int) -> None:
    """In whatever pieces the JSON is read."""
    lists = keys = commas = 0
    level = [value]
    while level:
        part = level.pop()
        if isinstance(part, list | dict):
            lists += 1
            commas += max(0, len(part) - 1)
            keys += len(part) if isinstance(part, dict) else 0
            level += part.values() if isinstance(part, dict) else part
    found = b"".join(json_shape.marks(msgspec.json.encode(value), step))
    assert (found.count(b"[") + found.count(b"{"), found.count(b":"), found.count(b",")) == (
        lists,
        keys,
        commas,
    )
