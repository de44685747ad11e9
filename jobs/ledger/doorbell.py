"""Doorbell: a claim that waits for a submit, in one round trip.

submit.lua pushes to a list that idle workers pop from, blocking. The claim is sent behind the pop on the same
connection: Redis keeps a blocked client's next command and runs it as soon as the pop is answered, so that
nothing goes to and fro between the ring and the claim. A ring that nobody hears costs no job, only the wait.
"""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from jobs.ledger import keys
from jobs.store.lua import Script

NOTHING = 2
"""Parts of the answer of a claim that leased no job."""


async def answer(
    redis: Redis,
    model: str,
    seconds: float,
    script: Script,
    script_keys: Sequence[str],
    args: Sequence[Any],
) -> Any:
    """The script's answer, run when a submit of this model rings, or after so many seconds.

    Must not be cancelled: what was claimed by an answer that nobody reads comes back only with its lease.
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
        raise rung  # with jobs leased it is passed over: they must not be forgotten
    return answered
