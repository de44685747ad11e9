"""Loads the transition scripts of `jobs/scripts/`; what each does stands in its header."""

from functools import cache
from importlib.resources import files

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

INCLUDE = "--@include "


@cache
def source(name: str) -> str:
    """The text of `NAME.lua` with its includes filled in (Redis knows no modules)."""
    lines = (files("jobs") / "scripts" / f"{name}.lua").read_text(encoding="utf-8").splitlines()
    return "\n".join(
        source(line.removeprefix(INCLUDE).removesuffix(".lua")) if line.startswith(INCLUDE) else line
        for line in lines
    )


def script(redis: Redis, name: str) -> AsyncScript:
    """A callable that runs the script by its digest and loads it first where the server lacks it."""
    return redis.register_script(source(name))
