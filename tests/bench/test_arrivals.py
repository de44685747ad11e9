"""The open-loop load generator, against a server with chosen answers."""

import asyncio
import statistics
from functools import partial

import pytest

from bench.arrivals import Arrivals, Arrived, generate, percentile
from tests.bench.test_http import Answer, close_connection, good, nothing, refusal, serving


async def arrivals(answer: Answer, **changed: object) -> Arrived:
    fields: dict[str, object] = {"path": "/", "rate": 2000.0, "count": 100, "bodies": ["a"]}
    fields |= {"patience": 60.0, "contains": "hello", **changed}
    async with serving(answer) as (_, port):
        plan = Arrivals(port=port, **fields)  # type: ignore[arg-type]
        return await generate(plan)


async def test_every_arrival_has_its_answer() -> None:
    arrived = await arrivals(good, keep=4)
    assert (arrived.sent, len(arrived.took), arrived.errors, arrived.overrun) == (100, 100, 0, False)
    assert arrived.answers == dict.fromkeys(range(100), "hell")
    assert 0 < arrived.p50 <= arrived.p99 <= max(arrived.took)


async def test_a_stalled_server_delays_no_arrival_and_hides_no_waiting() -> None:
    """All arrive while the first still waits: a closed loop would have sent one."""
    came, release = [], asyncio.Event()

    async def held(writer: asyncio.StreamWriter, body: bytes) -> None:
        came.append(body)
        if len(came) == 50:
            release.set()
        await release.wait()
        await good(writer, body)

    arrived = await arrivals(held, count=50)
    assert (len(arrived.took), arrived.errors) == (50, 0)
    assert max(arrived.took) > statistics.median(arrived.took), "who came first has waited longest"


async def test_connections_are_used_again() -> None:
    async with serving(good) as (server, port):
        plan = Arrivals(port=port, path="/", rate=400.0, count=400, bodies=["a", "b"])
        arrived = await generate(plan)
    assert arrived.errors == 0
    assert server.connections < 400
    assert server.bodies.count(b"a") == server.bodies.count(b"b") == 200


@pytest.mark.parametrize("answer", [refusal, close_connection, partial(nothing)])
async def test_what_has_no_right_answer_is_an_error(answer: Answer) -> None:
    arrived = await arrivals(answer, count=5, patience=0.2)
    assert (arrived.errors, arrived.took) == (5, [])
    assert arrived.error


async def test_too_many_under_way_end_it() -> None:
    arrived = await arrivals(nothing, most=10)
    assert arrived.overrun
    assert arrived.sent <= 10


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([float(value) for value in range(1, 101)], 99) == 99
    assert percentile([7.0], 99) == 7
    assert percentile([3.0, 1.0, 2.0], 50) == 2


async def test_whole_requests_with_two_correct_statuses() -> None:
    """Also without a body, and without a status of success."""
    given: dict[str, object] = {"requests": ["GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"]}
    expected: dict[str, object] = {"status": 401, "also": 503, "contains": "", "count": 10}
    arrived = await arrivals(refusal, bodies=[], **given, **expected)
    assert (len(arrived.took), arrived.errors) == (10, 0)
