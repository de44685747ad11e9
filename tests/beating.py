"""Workers of a test that stay alive: a heartbeat lives five seconds, and a program may start for longer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from arq.connections import ArqRedis

from jobs.monitoring.roster import HEARTBEAT_EVERY, Heartbeat, Roster
from jobs.store.connection import cancel
from tests.ledger import first_shard


@asynccontextmanager
async def beating(redis: ArqRedis, *beats: Heartbeat) -> AsyncIterator[None]:
    """Writes these heartbeats again and again, as workers do, until the block ends."""
    roster = Roster(first_shard(redis))

    async def write() -> None:
        for beat in beats:
            await roster.write(beat)

    async def repeat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_EVERY)
            await write()

    await write()
    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        await cancel(task)
