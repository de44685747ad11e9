"""Connections from the pool are fit for a command, and come in turn where there are too few."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs.settings import Settings
from jobs.store.connection import connect
from tests import valkey
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
    """Before a command is sent that would fail."""
    closed = await number(client)
    [connection] = client.connection_pool._available_connections
    await redis.client_kill_filter(_id=str(closed))

    async def noticed() -> bool:
        reader: Any = connection._reader
        return bool(reader.at_eof() or reader.exception())

    await until(noticed)
    connection.retry = Retry(NoBackoff(), 0)
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
    """Also before one that asks in the very moment in which a connection is given back."""
    order: list[int] = []
    pool = client.connection_pool

    async def command(which: int) -> None:
        connection = await pool.get_connection()
        order.append(which)
        await pool.release(connection)

    first = await pool.get_connection()
    waiting = [asyncio.create_task(command(which)) for which in range(3)]
    await asyncio.sleep(0)
    await pool.release(first)
    await asyncio.gather(command(3), *waiting)
    assert order == [0, 1, 2, 3]


async def test_one_that_was_given_to_who_waits_no_more_goes_to_the_next(client: ArqRedis) -> None:
    pool: Any = client.connection_pool
    first = await pool.get_connection()
    gone, given_up, next_one = (asyncio.create_task(pool.get_connection()) for _ in range(3))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])
    await pool.release(first)
    gone.cancel()  # the connection is on its way to it
    await asyncio.wait([gone])
    assert await next_one is first
    await pool.release(first)
    assert not pool._in_use_connections
    assert not pool._waiters


async def test_who_waits_too_long_is_told(client: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = client.connection_pool
    monkeypatch.setattr(pool, "timeout", 0.01)
    first = await pool.get_connection()
    with pytest.raises(RedisConnectionError, match="No connection available"):
        await pool.get_connection()
    await pool.release(first)
    assert await pool.get_connection() is first
    await pool.release(first)


async def test_those_that_cannot_be_connected_are_not_lost(tmp_path: Path) -> None:
    with valkey.running(tmp_path) as server:
        client = connect(Settings(redis_url=server.url()), connections=2)
        server.kill()
        for _ in range(4):
            with pytest.raises(RedisConnectionError):
                await client.ping()
        server.start()
        assert await client.ping()
        assert not client.connection_pool._in_use_connections
        await client.aclose(close_connection_pool=True)
