"""Loads and runs the transition scripts of `jobs/ledger/scripts/`; each script's header describes it."""

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
    """Returns the text of `NAME.lua` with its includes inserted (Redis has no modules)."""
    lines = (files("jobs.ledger") / "scripts" / f"{name}.lua").read_text(encoding="utf-8").splitlines()
    return "\n".join(
        source(line.removeprefix(INCLUDE).removesuffix(".lua")) if line.startswith(INCLUDE) else line
        for line in lines
    )


class Script:
    """A script that runs by its digest, or by its text if the server does not have it.

    redis-py's own class loads the script and then retries by digest. If the server restarts in between, that
    retry fails with NOSCRIPT.
    """

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis = redis
        self.text = source(name)
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Returns the script's answer. Raises redis-py's errors, but never NoScriptError."""
        given = [len(keys), *keys, *args]
        try:
            return await self._redis.execute_command("EVALSHA", self.digest, *given)  # type: ignore[no-untyped-call]
        except NoScriptError:
            return await self._redis.execute_command("EVAL", self.text, *given)  # type: ignore[no-untyped-call]
