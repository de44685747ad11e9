"""Durable submits: a submit is answered only when its job is on disk or on a replica, as configured.

The wait command is sent on the connection that wrote, in the same round trip. After a failover, another
connection could be to another server.
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Literal, Protocol

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, NoScriptError, RedisError, ResponseError

from jobs.errors import QueueUnavailable
from jobs.store import lua

Level = Literal["memory", "disk", "replica"]


class Send(Protocol):
    """Runs submit.lua; returns an answer or an error for each job, and what the script returns after them."""

    script: lua.Script

    def __call__(self, parameters: Sequence[Any]) -> Awaitable[list[Any]]: ...


TIMEOUT = 2.0
"""Most seconds to wait for the disk or a replica; much shorter than the connection's own timeout."""

WAIT_COMMANDS = {"disk": ("WAITAOF", 1, 0), "replica": ("WAIT", 1)}
UNCERTAIN = (b"accepted", b"replayed", b"exists")
"""Answers that are given only once the job is durable."""

NOT_DURABLE = {"disk": "Redis has not synced the job to its disk", "replica": "no replica has the job"}


CHECKED = 2
"""Number of answers between the script's and the wait's if the server told its appendfsync."""


def submit_script(redis: Redis, level: Level) -> Send:
    """Returns submit.lua as a callable that answers once the jobs are as durable as the level requires."""
    return Submit(redis) if level == "memory" else DurableSubmit(redis, level)


class Submit:
    """Runs submit.lua on one server."""

    def __init__(self, redis: Redis) -> None:
        self.script = lua.script("submit")
        self._redis = redis

    async def __call__(self, parameters: Sequence[Any]) -> list[Any]:
        answers: list[Any] = await self.script.run(self._redis, parameters)
        return answers


class DurableSubmit:
    """Called like Submit; returns QueueUnavailable for a job that is not durable in time.

    Such a job may still run. A retry with the same idempotency key returns it once it is durable.
    """

    def __init__(self, redis: Redis, level: Literal["disk", "replica"]) -> None:
        self.script = lua.script("submit")
        self._redis = redis
        self._level = level
        self._wait = WAIT_COMMANDS[level]
        self._not_durable = NOT_DURABLE[level]
        self._bytes_at = 1 + self.script.keys.index("bytes")
        """Place of the byte counter in the parameters; adding 0 to it is a write that changes nothing."""

    async def __call__(self, parameters: Sequence[Any]) -> list[Any]:
        bytes_key = parameters[self._bytes_at]
        try:
            answers, reached = await self._send(bytes_key, "EVALSHA", self.script.digest, *parameters)
        except NoScriptError:
            answers, reached = await self._send(bytes_key, "EVAL", self.script.text, *parameters)
        if fault := self._fault(reached):
            return [
                fault if isinstance(answer, list) and answer[0] in UNCERTAIN else answer for answer in answers
            ]
        return answers

    async def _send(self, bytes_key: str, *command: Any) -> tuple[list[Any], Any]:
        """Returns the script's answers, and the server's answer about the writes of this connection."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.execute_command(*command)
            # if all jobs are replays the script wrote nothing, so the wait would not cover the earlier write,
            # which may not be durable yet
            pipe.execute_command("INCRBY", bytes_key, 0)
            if self._level == "disk":
                pipe.execute_command("CONFIG", "GET", "appendfsync")
            pipe.execute_command(*self._wait, int(TIMEOUT * 1000))
            answers, *between, reached = await pipe.execute(raise_on_error=False)
        if self._level == "disk" and is_forbidden(between[-1]):
            between.pop()  # `check` has said at the start that this cannot be checked
        for answer in (answers, *between):
            if isinstance(answer, RedisError):
                raise answer
        if len(between) == CHECKED and between[-1][-1:] != [b"always"]:
            reached = ResponseError("appendfsync is no longer always")  # WAITAOF may then answer too early
        return answers, reached

    def _fault(self, reached: Any) -> QueueUnavailable | None:
        if isinstance(reached, ResponseError):
            return QueueUnavailable(f"{self._not_durable}: {reached}")
        if (reached[0] if isinstance(reached, list) else reached) < 1:
            return QueueUnavailable(f"{self._not_durable} within {TIMEOUT:g} s")
        return None


async def fault(redis: Redis) -> tuple[str | None, dict[str, str]]:
    """Returns why the server does not support `disk`, or None; and the settings that cannot be read.

    The settings come with the values that they must have. A missing replica is no fault of `replica`.
    """
    # with everysec, WAITAOF answers before the sync in several versions (Valkey 9.1, Redis before
    # redis/redis#13793); in the others every submit waits for up to a second
    needed = {"appendonly": "yes", "appendfsync": "always"}
    unreadable: dict[str, str] = {}
    try:
        config = await redis.config_get("append*")
    except ResponseError as error:
        if not is_forbidden(error):
            raise
        config, unreadable = needed, needed
    for name, value in needed.items():
        if config.get(name) != value:
            return (
                f"does not sync each job to disk (BATCHLINE_DURABLE_SUBMIT=disk): set {name} to {value}",
                unreadable,
            )
    try:
        await redis.execute_command("WAITAOF", 1, 0, 1)  # type: ignore[no-untyped-call]
    except ResponseError as error:
        if "appendonly is disabled" in str(error):
            return (
                "does not sync each job to disk (BATCHLINE_DURABLE_SUBMIT=disk): set appendonly to yes",
                unreadable,
            )
        if not str(error).startswith("unknown command"):
            raise
        return (
            "does not support WAITAOF, which BATCHLINE_DURABLE_SUBMIT=disk requires: use Redis 7.2 or newer",
            unreadable,
        )
    return None, unreadable


def is_forbidden(error: object) -> bool:
    """Returns whether a server refuses a command to this user, or to all, as managed servers do."""
    unknown = ("unknown command", "unknown subcommand", "Unknown subcommand")
    return isinstance(error, NoPermissionError) or (
        isinstance(error, ResponseError) and any(text in str(error) for text in unknown)
    )


def writes(info: Mapping[str, Any]) -> bool:
    """Returns whether the server's last write of its append-only file succeeded, according to its INFO.

    If it failed, for example on a full disk, the server refuses further writes. Writes that it has already
    answered are only in its memory until there is space.
    """
    return str(info.get("aof_last_write_status", "ok")) == "ok"
