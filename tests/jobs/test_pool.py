"""Connections from the pool are fit for a command, and come in turn where there are too few."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.connection import connect
from jobs.settings import Settings
from tests.waiting import until


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[ArqRedis]:
    """With one connection, so that it is known which the next command takes."""
    client = connect(settings, connections=1)
    yield client
    await client.aclose(close_connection_pool=True)


async def number(client: ArqRedis) -> int:
    """Of the connection, as the server counts."""
    return int(await client.client_id())


async def test_one_that_is_fit_is_kept(client: ArqRedis) -> None:
    assert await number(client) == await number(client)


async def test_one_that_its_server_closed_is_replaced(client: ArqRedis, redis: ArqRedis) -> None:
    closed = await number(client)
    await redis.client_kill_filter(_id=str(closed))
    assert await number(client) != closed


async def test_one_with_an_answer_that_nobody_read_is_replaced(client: ArqRedis) -> None:
    """Each later command would get the answer of the one before it."""
    spoiled = await number(client)
    connection = await client.connection_pool.get_connection()
    await connection.send_command("PING")
    reader: Any = connection._reader

    async def answered() -> bool:
        return len(reader._buffer) > 0

    await until(answered)
    await client.connection_pool.release(connection)
    assert await number(client) != spoiled


async def pop(client: ArqRedis) -> None:
    await client.execute_command("BLPOP", "nothing", 30)  # type: ignore[no-untyped-call]


async def test_one_whose_command_was_cancelled_is_replaced(client: ArqRedis) -> None:
    spoiled = await number(client)
    popping = asyncio.create_task(pop(client))

    async def sent() -> bool:
        return bool(client.connection_pool._in_use_connections)

    await until(sent)
    popping.cancel()
    await asyncio.wait([popping])
    assert await number(client) != spoiled


async def test_those_that_wait_come_in_turn(client: ArqRedis) -> None:
    order: list[int] = []

    async def command(which: int) -> None:
        await client.ping()
        order.append(which)

    first = await client.connection_pool.get_connection()
    waiting = [asyncio.create_task(command(which)) for which in range(3)]
    await asyncio.sleep(0)
    await client.connection_pool.release(first)
    late = asyncio.create_task(command(3))
    await asyncio.gather(*waiting, late)
    assert order == [0, 1, 2, 3]
