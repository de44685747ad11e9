"""The live table on a terminal: it refreshes, outlives its server, and ends with Ctrl-C."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator

import pytest
from arq.connections import ArqRedis

from jobs.settings import Settings
from tests.api.api_process import serving
from tests.api.conftest import settings as settings  # the models of the API's tests
from tests.beating import beating
from tests.ledger import heartbeat


class Terminal:
    """What was printed on a pseudo-terminal."""

    def __init__(self) -> None:
        self._ours, self.theirs = os.openpty()
        self._seen = ""

    async def shows(self, text: str) -> None:
        """Returns once it has been printed after what was waited for before."""
        async with asyncio.timeout(60):
            while text not in self._seen:
                self._seen += (await asyncio.to_thread(os.read, self._ours, 65_536)).decode(errors="replace")
        self._seen = self._seen.partition(text)[2]

    def close(self) -> None:
        os.close(self.theirs)
        os.close(self._ours)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


async def test_the_live_table_outlives_its_server(
    settings: Settings, redis: ArqRedis, terminal: Terminal
) -> None:
    beats = heartbeat("first"), heartbeat("other", "shapes")
    async with beating(redis, *beats), serving(settings) as (client, _):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "top", "--every", "0.2", "--url", str(client.base_url)),
            stdin=terminal.theirs,
            stdout=terminal.theirs,
            stderr=terminal.theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        )
        try:
            await terminal.shows("first")
            async with beating(redis, heartbeat("second")):
                await terminal.shows("second")
        except BaseException:
            process.kill()
            raise
    try:
        await terminal.shows("no answer for")
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
