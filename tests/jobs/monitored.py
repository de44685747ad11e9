"""What a server is sent during a block, as MONITOR shows it: clients' commands and those of their scripts."""

import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from arq.connections import ArqRedis

from jobs.store.lua import Script

_LINE = re.compile(r"\S+ \[(\d+) (\S+)\] (.*)", re.DOTALL)
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)

OF_THE_CONNECTION = ("PING", "CLIENT", "SELECT", "HELLO", "AUTH", "INFO")


class Sent(NamedTuple):
    """A command of a client, and the commands that it ran if it was a script. Binary words are escaped."""

    words: list[str]
    within: list[list[str]]

    @property
    def name(self) -> str:
        return self.words[0].upper()

    def runs(self, script: Script) -> bool:
        return self.name in ("EVAL", "EVALSHA") and self.words[1] in (script.digest, script.text)

    @property
    def keys(self) -> list[str]:
        """The declared keys of a script."""
        return self.words[3 : 3 + int(self.words[2])]


@asynccontextmanager
async def monitored(redis: ArqRedis) -> AsyncIterator[list[Sent]]:
    """The commands in this client's database; the list is complete after the block."""
    sent: list[Sent] = []
    database = str(redis.connection_pool.connection_kwargs.get("db", 0))
    end = uuid.uuid4().hex
    async with redis.monitor() as monitor:
        yield sent
        await redis.echo(end)
        assert monitor.connection is not None
        while True:
            line = (await monitor.connection.read_response()).decode()
            found = _LINE.fullmatch(line)
            assert found is not None, line
            words = _WORD.findall(found[3])
            if words[-1] == end:
                return
            if found[2] == "lua":
                sent[-1].within.append(words)
            elif found[1] == database and words[0].upper() not in OF_THE_CONNECTION:
                sent.append(Sent(words, []))
