"""A witness of every end of a job: it watches all jobs as an API process watches one, past the proxy."""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from jobs.ledger import keys
from jobs.ledger.wire import decode_events
from jobs.schema import JobState
from jobs.store.connection import cancel
from tests.faults.stack import Stack

NAME = "of-all-that-ends"
"""Its name as a process that watches: 16 characters."""


class Witness:
    """Observed ends by job. Some may be missed while the server is down, but each observed end was real."""

    def __init__(self) -> None:
        self.ends: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._listening = asyncio.Event()

    def doubles(self) -> dict[str, Counter[str]]:
        """Jobs that ended more than once."""
        return {job_id: ends for job_id, ends in self.ends.items() if ends.total() > 1}

    async def _watch(self, stack: Stack) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with stack.redis.pubsub() as pubsub:
                    await pubsub.subscribe(f"{keys.EVENTS}:{NAME}")
                    while True:
                        message = await pubsub.get_message(timeout=1.0)
                        if message is not None and message["type"] == "message":
                            self._see(message["data"])
            await asyncio.sleep(0.05)

    async def _register(self, stack: Stack) -> None:
        """Again and again: the server may be restarted without the registration, or a test may delete it."""
        while True:
            with contextlib.suppress(RedisError, OSError):
                for key in stack.queue.everywhere(keys.WATCHED):
                    await stack.redis.hset(key, "*", f"a{NAME}")  # type: ignore[misc]
                    await stack.redis.expire(key, 3600)
                [(_, listeners)] = await stack.redis.pubsub_numsub(f"{keys.EVENTS}:{NAME}")
                if listeners:
                    self._listening.set()
            await asyncio.sleep(0.1)

    def _see(self, data: bytes) -> None:
        for event in decode_events(data):
            if JobState(event.state).terminal:
                self.ends[event.id][event.state] += 1


@asynccontextmanager
async def watching(stack: Stack) -> AsyncIterator[Witness]:
    witness = Witness()
    tasks = [asyncio.create_task(witness._watch(stack)), asyncio.create_task(witness._register(stack))]
    try:
        await asyncio.wait_for(witness._listening.wait(), 60)
        yield witness
        assert not any(task.done() for task in tasks), "a witness who fell asleep"
    finally:
        await cancel(*tasks)
