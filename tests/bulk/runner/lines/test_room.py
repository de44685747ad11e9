"""How many inputs of a batch are in the queue at once: as many as wait there for a short time."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from bulk.runner.lines.room import Room
from tests.bulk.runner.lines.conftest import Running, batch, line


async def test_it_is_bounded_and_those_who_wait_get_their_places_in_order() -> None:
    room, order = Room(2, 4, 1, 10.0), []

    async def stay(name: str, count: int, leave: asyncio.Event) -> None:
        async with room.take(count):
            order.append(name)
            await leave.wait()

    leaves = {name: asyncio.Event() for name in "abcd"}
    tasks = [
        asyncio.create_task(stay(name, n, leaves[name])) for name, n in zip("abcd", (3, 2, 1, 9), strict=True)
    ]
    await settle()
    assert order == ["a"], "c would have room, but b is first"
    leaves["a"].set()
    await settle()
    assert order == ["a", "b", "c"]
    for name in "bc":
        leaves[name].set()
    await settle()
    assert order == ["a", "b", "c", "d"], "one that is larger than the room runs alone"
    leaves["d"].set()
    await asyncio.gather(*tasks)


async def test_it_grows_while_jobs_wait_for_a_short_time_and_others_want_in() -> None:
    room = Room(2, 12, 4, 10.0)
    assert await places(room) == 4
    await report(room, 1.0)
    assert await places(room) == 8
    await report(room, 6.0)
    assert await places(room) == 8, "more would wait for too long"
    await report(room, 1.0)
    assert await places(room) == 12
    await report(room, 1.0)
    assert await places(room) == 12, "the limit"


async def test_it_shrinks_when_jobs_wait_for_long_but_not_twice_for_one_reason() -> None:
    room = Room(8, 16, 4, 10.0)
    assert await places(room) == 16
    since = time.monotonic()
    room.waited(20.0, since)
    assert await places(room) == 12
    room.waited(25.0, since)
    assert await places(room) == 12, "that job met the former number"
    await report(room, 11.0)
    await report(room, 11.0)
    assert await places(room) == 8, "the least"


async def report(room: Room, seconds: float) -> None:
    """A job that has waited for so long has come while others wanted in."""
    async with AsyncExitStack() as stack:
        since = time.monotonic()
        while not full(room):
            since = await stack.enter_async_context(room.take(1))
        waiting = asyncio.create_task(_take(room))
        await settle()
        room.waited(seconds, since)
        await settle()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def places(room: Room) -> int:
    """How many it has now."""
    async with AsyncExitStack() as stack:
        count = 0
        while not full(room):
            await stack.enter_async_context(room.take(1))
            count += 1
    return count


def full(room: Room) -> bool:
    return room._used >= room._most


async def _take(room: Room) -> None:
    async with room.take(1):
        await asyncio.sleep(3600)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_room_of_a_batch_knows_how_long_its_jobs_wait(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    monkeypatch.setattr(Room, "waited", lambda _, seconds, since: told.append(seconds))
    begun = running.begin(batch("/v1/jobs"), [line(1, {"model": "moods", "inputs": "a"})])
    [claimed] = await running.claim_some("labels")
    await running.queue.start([claimed], "labels")
    await running.work(claimed, "labels", lambda _: {"output": [{"label": "GLAD", "score": 0.75}]})
    await begun
    assert len(told) == 1
    assert told[0] >= 0
