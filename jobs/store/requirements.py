"""What a server must fulfil to hold the queue, checked at the start of each process.

Managed servers often forbid CONFIG, and ACLs may forbid INFO. What cannot be read is named, not refused.
"""

from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from jobs.store import durability
from jobs.store.durability import Level, is_forbidden

PROBE_SCRIPT = "return 1"
"""Test script: checks that the Redis user may run scripts, by text and by digest."""

PROBE_KEY = "batchline:check"
"""Key of the test script, which does not use it: some servers refuse scripts without keys."""

POLICY = "maxmemory-policy"
COVERAGE = "cluster-require-full-coverage"


@dataclass
class Findings:
    """What one server lacks."""

    fault: str | None = None
    """Why it cannot hold the queue; continues a sentence that begins with the server."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Settings that could not be read -> the values that they should have."""
    full_coverage: bool = False
    """Whether a cluster serves no slot at all while one slot has no primary."""


async def of_server(redis: Redis, level: Level, *, tag: str | None = None) -> Findings:
    """Checks one server, or a primary of a cluster that serves the slot of a hash tag.

    Raises redis-py's errors if it cannot be reached or refuses a command.
    """
    await redis.ping()
    clustered = tag is not None
    if not clustered and await _mode(redis) == "cluster":
        return Findings("is a node of a cluster: set BATCHLINE_REDIS_URL to redis+cluster://HOST:PORT/")
    key = PROBE_KEY + (tag or "")
    await redis.eval(PROBE_SCRIPT, 1, key)  # type: ignore[misc]
    await redis.evalsha(redis.register_script(PROBE_SCRIPT).sha, 1, key)  # type: ignore[misc]
    found = Findings()
    policy = await _policy(redis)
    if policy is None:
        found.unreadable[POLICY] = "noeviction"
    elif policy != "noeviction":
        found.fault = f"evicts keys ({policy}) and would lose jobs: set {POLICY} to noeviction"
        return found
    if level == "disk":
        found.fault, unreadable = await durability.fault(redis)
        found.unreadable |= unreadable
    if clustered:
        coverage = await _setting(redis, COVERAGE)
        if coverage is None:
            found.unreadable[COVERAGE] = "no"
        found.full_coverage = coverage == "yes"
    return found


async def is_down(redis: Redis) -> bool:
    """Returns whether a node says that its cluster serves no commands now."""
    try:
        state: bytes = await redis.execute_command("CLUSTER", "INFO")  # type: ignore[no-untyped-call]
    except ResponseError as error:
        if is_forbidden(error):
            return False
        raise
    return b"cluster_state:fail" in state


async def _mode(redis: Redis) -> str:
    """Returns `standalone`, `cluster`, `sentinel`, or '' if the server does not say."""
    try:
        answer: Any = await redis.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except ResponseError:
        return ""  # a proxy, or older than Redis 6
    pairs = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=False))
    return bytes(pairs.get(b"mode", b"")).decode()


async def _policy(redis: Redis) -> str | None:
    """Returns the eviction policy, or None if it cannot be read."""
    try:
        return str((await redis.info("memory")).get("maxmemory_policy", "noeviction"))
    except ResponseError as error:
        if not is_forbidden(error):
            raise
    return await _setting(redis, POLICY)


async def _setting(redis: Redis, name: str) -> str | None:
    """Returns a value of the server's configuration, or None if it cannot be read."""
    try:
        value: str | None = (await redis.config_get(name)).get(name)
        return value
    except ResponseError as error:
        if not is_forbidden(error):
            raise
    return None
