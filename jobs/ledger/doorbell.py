"""Doorbell: a claim that waits for a submit, in one round trip.

submit.lua pushes to a list, and idle workers pop from it, blocking. The claim is sent right after the pop on
the same connection: Redis keeps a blocked client's next command and runs it as soon as the pop is answered.
So there is no round trip between push and claim. A lost push loses no job; the worker only waits longer.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from jobs.ledger import keys
from jobs.store.lua import Script

NOTHING = 2
"""Number of parts in a claim's answer if it leased no job."""


async def answer(
    redis: Redis,
    model: str,
    seconds: float,
    script: Script,
    script_keys: Sequence[str],
    args: Sequence[Any],
) -> Any:
    """Runs the script when a submit of this model pushes, or after `seconds`; returns the script's answer.

    Must not be cancelled: jobs of an answer that is not read return to the queue only when their lease ends.
    """
    async with redis.pipeline(transaction=False) as pipe:
        pipe.execute_command("BLPOP", keys.DOORBELL.of(model), seconds)
        pipe.execute_command("EVALSHA", script.digest, len(script_keys), *script_keys, *args)
        rung, answered = await pipe.execute(raise_on_error=False)
    if isinstance(answered, NoScriptError):
        return await script(script_keys, args)
    if isinstance(answered, Exception):
        raise answered
    if isinstance(rung, Exception) and len(answered) == NOTHING:
        raise rung  # ignored if jobs were leased: they must be returned
    return answered
