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

Durable = Literal["disk", "replica"]
Level = Literal["memory"] | Durable


class Send(Protocol):
    """Runs submit.lua; returns an answer or an error for each job, and what the script returns after them."""

    script: lua.Script

    def __call__(self, parameters: Sequence[Any]) -> Awaitable[list[Any]]: ...


TIMEOUT = 2.0
"""Most seconds to wait for the disk or a replica; much shorter than the connection's own timeout."""

WAIT_COMMANDS = {"disk": ("WAITAOF", 1, 0), "replica": ("WAIT", 1)}
UNCERTAIN = (b"accepted", b"replayed", b"exists")
"""Answers that are given only once the job is durable."""

NOT_DURABLE = {"disk": "Redis has not synced {} to its disk", "replica": "no replica has {}"}


async def run(redis: Redis, level: Level, script: lua.Script, parameters: Sequence[Any]) -> Any:
    """Runs a script that writes, and returns its answer once the write is as durable as the level requires.

    Raises QueueUnavailable if it is not in time; the write may still be done.
    """
    if level == "memory":
        return await script.run(redis, parameters)
    try:
        answer, reached = await _send(redis, level, ["EVALSHA", script.digest, *parameters])
    except NoScriptError:
        answer, reached = await _send(redis, level, ["EVAL", script.text, *parameters])
    if fault := _fault(level, reached, "the change"):
        raise fault
    return answer


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

    def __init__(self, redis: Redis, level: Durable) -> None:
        self.script = lua.script("submit")
        self._redis = redis
        self._level = level
        self._bytes_at = 1 + self.script.keys.index("bytes")
        """Place of the byte counter in the parameters; adding 0 to it is a write that changes nothing."""

    async def __call__(self, parameters: Sequence[Any]) -> list[Any]:
        # if all jobs are replays the script wrote nothing, so the wait would not cover the earlier write,
        # which may not be durable yet
        touch = ["INCRBY", parameters[self._bytes_at], 0]
        try:
            sent = ["EVALSHA", self.script.digest, *parameters]
            answers, reached = await _send(self._redis, self._level, sent, touch)
        except NoScriptError:
            sent = ["EVAL", self.script.text, *parameters]
            answers, reached = await _send(self._redis, self._level, sent, touch)
        if fault := _fault(self._level, reached, "the job"):
            return [
                fault if isinstance(answer, list) and answer[0] in UNCERTAIN else answer for answer in answers
            ]
        return answers  # type: ignore[no-any-return]


async def _send(redis: Redis, level: Durable, *commands: Sequence[Any]) -> tuple[Any, Any]:
    """Returns the first command's answer, and the server's answer about the writes of this connection."""
    async with redis.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        if level == "disk":
            pipe.execute_command("CONFIG", "GET", "appendfsync")
        pipe.execute_command(*WAIT_COMMANDS[level], int(TIMEOUT * 1000))
        answer, *between, reached = await pipe.execute(raise_on_error=False)
    config = between.pop() if level == "disk" else None
    # `check` has said at the start that a configuration which nobody may read cannot be checked
    if is_forbidden(config):
        config = None
    for each in (answer, *between, config):
        if isinstance(each, RedisError):
            raise each
    if config is not None and config[-1:] != [b"always"]:
        reached = ResponseError("appendfsync is no longer always")  # WAITAOF may then answer too early
    return answer, reached


def _fault(level: Durable, reached: Any, what: str) -> QueueUnavailable | None:
    not_durable = NOT_DURABLE[level].format(what)
    if isinstance(reached, ResponseError):
        return QueueUnavailable(f"{not_durable}: {reached}")
    if (reached[0] if isinstance(reached, list) else reached) < 1:
        return QueueUnavailable(f"{not_durable} within {TIMEOUT:g} s")
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
