"""The API as a process under floods of requests: its memory, its log, and how fast it answers others."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from jobs.settings import MIB
from tests import processes
from tests.faults.hurried import command
from tests.ports import free_port
from tests.waiting import until


class Api(NamedTuple):
    pid: int
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def resident(self) -> float:
        """MiB."""
        return self._status("VmRSS")

    def peak(self) -> float:
        """MiB that were resident at most."""
        return self._status("VmHWM")

    def computed(self) -> float:
        """Seconds of processors that all of its threads had."""
        return time.clock_gettime(~self.pid << 3 | 2)  # as clock_getcpuclockid(3), which Python lacks

    def _status(self, name: str) -> float:
        [kib] = re.findall(rf"{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        return int(kib) / 1024

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@asynccontextmanager
async def serving(
    folder: Path,
    models: str,
    redis_url: str,
    *,
    files: int | None = None,
    deadlines: Mapping[str, float] | None = None,
    **settings: object,
) -> AsyncIterator[Api]:
    """`python -m api` with its own settings, until the block ends; it may have so many open files.

    `deadlines`, as in `tests.faults.hurried`, are for a process with limited files.
    """
    models_file, log = folder / "models.toml", folder / "log"
    models_file.write_text(models)
    port = free_port()
    own = {"redis_url": redis_url, "models_file": models_file, "port": port, **settings}
    module, *arguments = (
        ["api"] if files is None else ["tests.api.limited", str(files), *command(deadlines or {})[1:]]
    )
    with log.open("wb") as sink, processes.logging_to(sink, module, *arguments, **own) as process:
        api = Api(process.pid, port, log)
        await until(lambda: processes.alive(api.url))
        yield api


def client(api: Api) -> httpx.AsyncClient:
    """One that connects anew for each request: while a flood keeps the test busy the server hangs up."""
    fresh = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=api.url, timeout=60, limits=fresh)


async def status_of(reader: asyncio.StreamReader) -> tuple[int, str]:
    """The status and the headers of an answer, in lower case."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    return int(head.split(" ")[1]), head


async def slowest(api: Api, client: httpx.AsyncClient, work: Awaitable[object]) -> float:
    """Seconds that the slowest answer to a health check took while the work went on.

    Of the API's own time: while other processes have the processor, nobody waits because of the work.
    """
    running = asyncio.ensure_future(work)
    worst = 0.0
    while not running.done():
        began, computed = time.perf_counter(), api.computed()
        assert (await client.get("/health/live")).status_code == 200
        worst = max(worst, min(time.perf_counter() - began, api.computed() - computed))
    await running
    return worst


def head(length: int, *headers: str) -> bytes:
    """Of a submit with a body of so many bytes."""
    lines = ["POST /v1/jobs HTTP/1.1", "host: x", "content-type: application/json", *headers]
    return "\r\n".join([*lines, f"content-length: {length}", "", ""]).encode()


LARGE = b'{"inputs":[%b"x"]}' % (b'"%b",' % (b"a film is fine. " * 512) * 999)
"""A body of 8.2 MB."""
assert 7 * MIB < len(LARGE) < 8 * MIB
