"""Loads the transition scripts of `jobs/ledger/scripts/`; what each does stands in its header."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

INCLUDE = "--@include "


@cache
def source(name: str) -> str:
    """The text of `NAME.lua` with its includes filled in (Redis knows no modules)."""
    lines = (files("jobs.ledger") / "scripts" / f"{name}.lua").read_text(encoding="utf-8").splitlines()
    return "\n".join(
        source(line.removeprefix(INCLUDE).removesuffix(".lua")) if line.startswith(INCLUDE) else line
        for line in lines
    )


class Script:
    """A script that runs by its digest, and by its text on a server that does not know it.

    redis-py's own loads it and then asks by its digest again: a server that was restarted in between still
    does not know it, and the answer would be NOSCRIPT.
    """

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis = redis
        self.text = source(name)
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """What the script answers. Raises what redis-py raises, but never NoScriptError."""
        given = [len(keys), *keys, *args]
        try:
            return await self._redis.execute_command("EVALSHA", self.digest, *given)  # type: ignore[no-untyped-call]
        except NoScriptError:
            return await self._redis.execute_command("EVAL", self.text, *given)  # type: ignore[no-untyped-call]
