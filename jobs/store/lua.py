"""Loads and runs the transition scripts, whose keys and arguments have names.

The queue's are in `jobs/ledger/scripts/`. Other rooms, such as `bulk.files`, have a folder `scripts` too. A
script declares what it is called with, in these comment lines:

    --@key queue                    KEYS.queue in the script stands for KEYS[1], and so on
    --@arg lease  ms                ARGV.lease stands for ARGV[1], and so on
    --@each id token                for each job two more arguments; see below
    --@include codec.lua            inserts another file, which may declare keys and arguments too: one of the
                                    room's own, or else one of the queue's
    --@include bulk.files/keep.lua  inserts a file of another room

Python passes keys and arguments by the same names, so their order is written nowhere else. A script loops
over its jobs with `for at = EACH.first, #ARGV, EACH.size do`; there EACH.id stands for ARGV[at], EACH.token
for ARGV[at + 1]. The names are replaced when the script is loaded, so they cost nothing when it runs.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

INCLUDE = "--@include "

LEDGER = "jobs.ledger"
"""The room of the queue's scripts."""

_DECLARATION = re.compile(r"--@(key|arg|each) +(.*)")
_NAMES = re.compile(r"\w+(?: \w+)*")
"""The declared names; a comment follows after two spaces."""

_USE = re.compile(r"\b(KEYS|ARGV|EACH)\.(\w+)")


@cache
def source(name: str, room: str = LEDGER) -> str:
    """Returns the text of a room's `NAME.lua` with its includes inserted (Redis has no modules)."""
    lines = _file(name, room).read_text(encoding="utf-8").splitlines()
    return "\n".join(
        _included(line.removeprefix(INCLUDE).removesuffix(".lua"), room) if line.startswith(INCLUDE) else line
        for line in lines
    )


def _included(name: str, room: str) -> str:
    other, _, plain = name.rpartition("/")
    if other:
        return source(plain, other)
    return source(name, room if _file(name, room).is_file() else LEDGER)


def _file(name: str, room: str) -> Traversable:
    return files(room) / "scripts" / f"{name}.lua"


class Script:
    """A script with the names of its keys and arguments; `text` is what the server runs."""

    def __init__(self, name: str, room: str = LEDGER) -> None:
        self.name = name
        declared: dict[str, list[str]] = {"key": [], "arg": [], "each": []}
        lines = []
        for line in source(name, room).splitlines():
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
def script(name: str, room: str = LEDGER) -> Script:
    """Returns the script `NAME.lua` of a room, loaded once."""
    return Script(name, room)
