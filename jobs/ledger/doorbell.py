"""Doorbell: a claim that waits for a submit, in one round trip; and many doorbells at once.

submit.lua pushes to a list, and idle workers pop from it, blocking. The claim is sent right after the pop on
the same connection: Redis keeps a blocked client's next command and runs it as soon as the pop is answered.
So there is no round trip between push and claim. A lost push loses no job; the worker only waits longer.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from jobs.errors import QueueUnavailable
from jobs.ledger import keys
from jobs.ledger.shard import Shard
from jobs.ledger.shards import Shards
from jobs.store.connection import availability, cancel
from jobs.store.lua import Script

NOTHING = 5
"""Number of parts in a claim's answer if it leased no job."""

LIFETIME_MS = 60_000
"""As in submit.lua."""


async def answer(redis: Redis, bell: str, seconds: float, claim: Script, parameters: Sequence[Any]) -> Any:
    """Runs the claim when a submit pushes to the bell, or after `seconds`; returns the script's answer.

    Must not be cancelled: jobs of an answer that is not read return to the queue only when their lease ends.
    """
    async with redis.pipeline(transaction=False) as pipe:
        pipe.execute_command("BLPOP", bell, seconds)
        pipe.execute_command("EVALSHA", claim.digest, *parameters)
        rung, answered = await pipe.execute(raise_on_error=False)
    if isinstance(answered, NoScriptError):
        return await claim.run(redis, parameters)
    if isinstance(answered, Exception):
        raise answered
    if isinstance(rung, Exception) and len(answered) == NOTHING:
        raise rung  # ignored if jobs were leased: they must be returned
    return answered


class Doorbells:
    """The doorbells of all shards. While the worker is busy, a push that it received is given to another.

    A claim behind each doorbell would save a round trip, but several shards could lease a window at once.
    """

    def __init__(self, shards: Shards, model: str) -> None:
        self._shards = shards
        self._model = model
        self._pops: dict[int, asyncio.Task[bool]] = {}
        self._idle = False

    async def wait(self, seconds: float) -> set[int]:
        """Waits until a shard's doorbell rings; returns the numbers of the shards, none after `seconds`."""
        self._idle = True
        try:
            for shard in self._shards:
                if shard.number not in self._pops and shard.available:
                    self._pops[shard.number] = asyncio.create_task(self._pop(shard, seconds))
            if not self._pops:
                await asyncio.sleep(seconds)
            else:
                await asyncio.wait(self._pops.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._idle = False
        done = {number: task for number, task in self._pops.items() if task.done()}
        for number in done:
            del self._pops[number]
        return {number for number, task in done.items() if task.result()}

    async def close(self) -> None:
        await cancel(*self._pops.values())

    async def _pop(self, shard: Shard, seconds: float) -> bool:
        """Returns whether the doorbell rang for this worker."""
        bell = shard.key(keys.DOORBELL, self._model)
        try:
            async with availability():
                rung = await shard.redis.blpop([bell], seconds)  # type: ignore[misc, arg-type]
                if rung and not self._idle:
                    async with shard.redis.pipeline(transaction=False) as pipe:
                        pipe.lpush(bell, "1")
                        pipe.pexpire(bell, LIFETIME_MS)
                        await pipe.execute()
                    return False
                return bool(rung)
        except (QueueUnavailable, ResponseError):
            shard.available = False
            return False
