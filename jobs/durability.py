"""How safe a job is when its submit is answered, where being in Redis' memory is not enough.

The question how far a write has come goes over the connection that wrote, in the same round trip. Another
connection could be to another server: there may have been a failover in between.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, RedisError, ResponseError

from jobs import lua
from jobs.errors import QueueUnavailable

Level = Literal["memory", "disk", "replica"]

TIMEOUT = 2.0
"""Seconds that the disk or a replica may take; well below the connection's own timeout."""

PLACES = 32
"""Submits that may wait at once: half of the pool, so that whatever else is asked finds a connection."""

WAITS = {"disk": ("WAITAOF", 1, 0), "replica": ("WAIT", 1)}
MISSED = {"disk": "Redis has not synced the job to its disk", "replica": "no replica has the job"}

BYTES = 5
"""Where submit.lua takes the counter of bytes; adding 0 to it is a write that changes nothing."""


def submit_script(redis: Redis, level: Level) -> AsyncScript:
    """submit.lua, answering once the job is as safe as the level says."""
    return lua.script(redis, "submit") if level == "memory" else DurableSubmit(redis, level)


class DurableSubmit(AsyncScript):
    """Called like submit.lua alone. Raises QueueUnavailable where the job is not safe in time.

    The job may run all the same; who submits again with the same idempotency key finds it, once it is safe.
    """

    def __init__(self, redis: Redis, level: Literal["disk", "replica"]) -> None:
        super().__init__(redis, lua.source("submit"))
        self._level = level
        self._wait = WAITS[level]
        self._missed = MISSED[level]
        self._places = asyncio.Semaphore(PLACES)

    async def __call__(
        self,
        keys: Sequence[Any] | None = None,
        args: Iterable[Any] | None = None,
        client: Redis | None = None,
    ) -> Any:
        given = [*(keys or ()), *(args or ())]
        count = len(keys or ())
        async with self._place():
            answer, reached = await self._run(count, given)
            if answer[0] in (b"replayed", b"exists"):
                # it wrote nothing, so nothing was waited for; what was written before may not be safe yet
                answer, reached = await self._run(count, given, write=True)
        if answer[0] in (b"accepted", b"replayed", b"exists"):
            self._judge(reached)
        return answer

    @asynccontextmanager
    async def _place(self) -> Any:
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._places.acquire()
        except TimeoutError:
            raise QueueUnavailable(f"{self._missed}, and too many wait for that") from None
        try:
            yield
        finally:
            self._places.release()

    async def _run(self, count: int, given: list[Any], *, write: bool = False) -> tuple[Any, Any]:
        """The script's answer, and what the server says of the writes of this connection."""
        try:
            return await self._send("EVALSHA", self.sha, count, *given, write=write)
        except NoScriptError:  # redis-py would ask before each call whether the server knows it
            return await self._send("EVAL", self.script, count, *given, write=write)

    async def _send(self, *command: Any, write: bool) -> tuple[Any, Any]:
        async with self.registered_client.pipeline(transaction=False) as pipe:
            pipe.execute_command(*command)
            if write:
                pipe.execute_command("INCRBY", command[3 + BYTES], 0)
            if self._level == "disk":
                pipe.execute_command("CONFIG", "GET", "appendfsync")
            pipe.execute_command(*self._wait, int(TIMEOUT * 1000))
            answer, *between, reached = await pipe.execute(raise_on_error=False)
        for told in (answer, *between):
            if isinstance(told, RedisError):
                raise told
        if self._level == "disk" and between[-1][-1] != b"always":
            reached = ResponseError("appendfsync is not always any more")  # WAITAOF may answer too early then
        return answer, reached

    def _judge(self, reached: Any) -> None:
        if isinstance(reached, ResponseError):
            raise QueueUnavailable(f"{self._missed}: {reached}")
        if (reached[0] if isinstance(reached, list) else reached) < 1:
            raise QueueUnavailable(f"{self._missed} within {TIMEOUT:g} s")


async def fault(redis: Redis, level: Level) -> str | None:
    """Why the server cannot do what the level asks for, or None. That there is no replica now is no fault."""
    if level != "disk":
        return None
    told = await redis.config_get("append*")
    # with everysec, WAITAOF answers before the disk does in several versions (Valkey 9.1, Redis before
    # redis/redis#13793), and in the others makes every submit wait for up to a second
    for name, needed in (("appendonly", "yes"), ("appendfsync", "always")):
        if told.get(name) != needed:
            return f"cannot keep each job on disk (BATCHLINE_DURABLE_SUBMIT=disk): set {name} to {needed}"
    try:
        await redis.execute_command("WAITAOF", 1, 0, 1)  # type: ignore[no-untyped-call]
    except ResponseError as error:
        if not str(error).startswith("unknown command"):
            raise
        return "does not know WAITAOF (BATCHLINE_DURABLE_SUBMIT=disk): it takes Redis 7.2 or newer"
    return None
