"""The open loop, against a server that answers as it is told."""

import asyncio
import statistics
from functools import partial

import pytest

from bench.arrivals import Arrivals, Arrived, generate, percentile
from tests.bench.test_http import Answer, good, hang_up, nothing, refusal, serving


async def arrivals(answer: Answer, **changed: object) -> Arrived:
    fields: dict[str, object] = {"path": "/", "rate": 2000.0, "count": 100, "bodies": ["a"], "patience": 5.0}
    async with serving(answer) as (_, port):
        plan = Arrivals(port=port, contains="hello", **{**fields, **changed})  # type: ignore[arg-type]
        return await generate(plan)


async def test_every_arrival_has_its_answer() -> None:
    told = await arrivals(good, keep=4)
    assert (told.sent, len(told.took), told.errors, told.overrun) == (100, 100, 0, False)
    assert told.answers == dict.fromkeys(range(100), "hell")
    assert 0 < told.p50 <= told.p99 <= max(told.took)


async def test_a_server_that_stands_still_holds_up_no_arrival_and_hides_no_waiting() -> None:
    """All arrive while the first still waits: a closed loop would have sent one."""
    came, release = [], asyncio.Event()

    async def held(writer: asyncio.StreamWriter, body: bytes) -> None:
        came.append(body)
        if len(came) == 50:
            release.set()
        await release.wait()
        await good(writer, body)

    told = await arrivals(held, count=50)
    assert (len(told.took), told.errors) == (50, 0)
    assert max(told.took) > statistics.median(told.took), "who came first has waited longest"


async def test_connections_are_used_again() -> None:
    async with serving(good) as (server, port):
        plan = Arrivals(port=port, path="/", rate=200.0, count=50, bodies=["a", "b"])
        told = await generate(plan)
    assert told.errors == 0
    assert server.connections < 50
    assert server.bodies.count(b"a") == server.bodies.count(b"b") == 25


@pytest.mark.parametrize("answer", [refusal, hang_up, partial(nothing)])
async def test_what_has_no_right_answer_is_an_error(answer: Answer) -> None:
    told = await arrivals(answer, count=5, patience=0.2)
    assert (told.errors, told.took) == (5, [])
    assert told.error


async def test_too_many_under_way_end_it() -> None:
    told = await arrivals(nothing, most=10)
    assert told.overrun
    assert told.sent <= 10


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([float(value) for value in range(1, 101)], 99) == 99
    assert percentile([7.0], 99) == 7
    assert percentile([3.0, 1.0, 2.0], 50) == 2
