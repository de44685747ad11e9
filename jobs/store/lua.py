"""Loads and runs the transition scripts of `jobs/ledger/scripts/`, whose keys and arguments have names.

A script declares what it is called with, in these comment lines:

    --@key queue                    KEYS.queue in the script stands for KEYS[1], and so on
    --@arg lease  ms                ARGV.lease stands for ARGV[1], and so on
    --@each id token                for each job two more arguments; see below
    --@include codec.lua            inserts another file, which may declare keys and arguments too

Python passes keys and arguments by the same names, so their order is written nowhere else. A script loops
over its jobs with `for at = EACH.first, #ARGV, EACH.size do`; there EACH.id stands for ARGV[at], EACH.token
for ARGV[at + 1]. The names are replaced when the script is loaded, so they cost nothing when it runs.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

INCLUDE = "--@include "

_DECLARATION = re.compile(r"--@(key|arg|each) +(.*)")
_NAMES = re.compile(r"\w+(?: \w+)*")
"""The declared names; a comment follows after two spaces."""

_USE = re.compile(r"\b(KEYS|ARGV|EACH)\.(\w+)")


@cache
def source(name: str) -> str:
    """Returns the text of `NAME.lua` with its includes inserted (Redis has no modules)."""
    lines = (files("jobs.ledger") / "scripts" / f"{name}.lua").read_text(encoding="utf-8").splitlines()
    return "\n".join(
        source(line.removeprefix(INCLUDE).removesuffix(".lua")) if line.startswith(INCLUDE) else line
        for line in lines
    )


class Script:
    """A script with the names of its keys and arguments; `text` is what the server runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        declared: dict[str, list[str]] = {"key": [], "arg": [], "each": []}
        lines = []
        for line in source(name).splitlines():
            if found := _DECLARATION.match(line):
                names = _NAMES.match(found[2])
                known = declared[found[1]]  # two parts of a script may declare the same name
                known += [name for name in names[0].split() if name not in known] if names else []
            else:
                lines.append(line)
        self.keys, self.arguments, self.each = (tuple(names) for names in declared.values())
        self._places = {f"KEYS.{key}": f"KEYS[{at}]" for at, key in enumerate(self.keys, 1)}
        self._places |= {f"ARGV.{arg}": f"ARGV[{at}]" for at, arg in enumerate(self.arguments, 1)}
        self._places |= {"EACH.first": str(len(self.arguments) + 1), "EACH.size": str(len(self.each))}
        self._places |= {f"EACH.{arg}": f"ARGV[at + {at}]" for at, arg in enumerate(self.each)}
        self.text = _USE.sub(self._place, "\n".join(lines))
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def _place(self, use: re.Match[str]) -> str:
        if use[0] not in self._places:
            raise ValueError(f"{self.name}.lua uses {use[0]}, which it does not declare")
        return self._places[use[0]]

    def parameters(self, given: Mapping[str, Any], each: Sequence[Any] = ()) -> list[Any]:
        """Returns what follows the digest in EVALSHA. Raises KeyError for a name that is not given.

        `each` has the arguments of all jobs, one job after another, in the declared order.
        """
        return [
            len(self.keys),
            *[given[name] for name in self.keys],
            *[given[name] for name in self.arguments],
            *each,
        ]

    async def run(self, redis: Redis, parameters: Sequence[Any]) -> Any:
        """Runs by the digest, or by the text if the server does not have the script; returns its answer.

        Raises redis-py's errors, but never NoScriptError. redis-py's own class loads the script and then
        retries by digest. If the server restarts in between, that retry fails with NOSCRIPT.
        """
        try:
            return await redis.execute_command("EVALSHA", self.digest, *parameters)  # type: ignore[no-untyped-call]
        except NoScriptError:
            return await redis.execute_command("EVAL", self.text, *parameters)  # type: ignore[no-untyped-call]


@cache
def script(name: str) -> Script:
    """Returns the script `NAME.lua`, loaded once."""
    return Script(name)
