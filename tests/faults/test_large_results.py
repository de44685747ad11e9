"""Large results, fetched by many at once: all get them, other clients are not delayed, memory is bounded."""

import asyncio
import json
import sys
import time
import zlib
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from jobs.store.connection import cancel
from tests import processes
from tests.faults.stack import MODEL, Stack, running
from tests.ledger import JobQueue, run_one
from tests.waiting import until

MIB = 1024 * 1024
SIZE = 62 * MIB
CLIENTS = 50
SOON = 10.0
"""Seconds for a submit, also on a machine that stalls for some. It took 15.6 s when each client read the
result separately."""

PATIENT = {"api.waiting.large_results.MEMORY_SECONDS": 100.0, "api.edge.memory_budget.STALL_SECONDS": 30.0}
"""An API that waits for memory for as long as a slow machine needs to read the other answers, and takes none
from a client because the machine stalls."""


async def fetched(url: str, clients: int) -> list[object]:
    """The outcome of each client."""
    command = [sys.executable, "-m", "tests.faults.readers", url, str(clients)]
    readers = await asyncio.create_subprocess_exec(*command, stdout=PIPE, cwd=processes.ROOT)
    out, _ = await readers.communicate()
    got: list[object] = json.loads(out)
    return got


class Watched:
    """Observations of unrelated clients and of the server's memory while the others fetched."""

    def __init__(self) -> None:
        self.submits: list[float] = []
        self.refused: list[int] = []
        self.buffers = 0

    async def submit(self, client: httpx.AsyncClient) -> None:
        while True:
            start = time.monotonic()
            answer = await client.post("/v1/jobs", json={"inputs": "x"})
            self.submits.append(time.monotonic() - start)
            if answer.status_code != 202:
                self.refused.append(answer.status_code)
            await asyncio.sleep(0.05)

    async def look(self, stack: Stack) -> None:
        while True:
            memory = await stack.redis.info("memory")
            self.buffers = max(self.buffers, memory["mem_clients_normal"])
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def watching(self, stack: Stack, url: str) -> AsyncIterator[None]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            tasks = [asyncio.create_task(self.submit(client)), asyncio.create_task(self.look(stack))]
            try:
                yield
            finally:
                assert not any(task.done() for task in tasks), "they saw all of it"
                await cancel(*tasks)


async def ended(stack: Stack, output: str) -> str:
    async with httpx.AsyncClient(base_url=next(iter(stack.apis)), timeout=60) as client:
        job_id: str = (await client.post("/v1/jobs", json={"inputs": "x"})).json()["id"]
    # a large result may take longer to encode and to send than the default lease, which the API would end
    settings = stack.queue.settings.model_copy(update={"lease": 120.0})
    assert await run_one(JobQueue(stack.redis, settings, [MODEL]), [{"output": output}], MODEL)
    return job_id


async def freed(stack: Stack) -> bool:
    """Whether the server has freed what it received the result with, which it does some seconds later."""
    memory = await stack.redis.info("memory")
    return bool(memory["mem_clients_normal"] < MIB)


def most_memory(pid: int) -> int:
    """VmHWM: the peak memory of a process in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("this system does not say it")


@pytest.mark.attack(
    "many clients fetch one large result at once",
    held="each gets the complete result, a submit is answered meanwhile, the memory of API and Redis is "
    "bounded",
    tried="50 clients",
)
@pytest.mark.timeout(300)
async def test_many_clients_fetch_one_large_result(tmp_path: Path, figure: Callable[[str], None]) -> None:
    async with running(tmp_path, workers=0, apis=0) as stack:
        url = await stack.api(deadlines=PATIENT, redis_url=stack.server.url())
        output = "0123456789abcdef" * (SIZE // 16)
        job_id = await ended(stack, output)
        body = f'{{"results":[{{"output":"{output}"}}]}}'.encode()
        expected = [len(body), zlib.crc32(body)]
        del output, body
        await until(partial(freed, stack))
        before = psutil.Process(stack.apis[url].pid).memory_info().rss
        watched = Watched()
        async with watched.watching(stack, url):
            start = time.monotonic()
            got = await fetched(f"{url}/v1/jobs/{job_id}/result", CLIENTS)
            seconds = time.monotonic() - start
        grown = most_memory(stack.apis[url].pid) - before
        figure(
            f"{CLIENTS} clients fetched a result of {SIZE // MIB} MiB in {seconds:.1f} s; a submit took"
            f" {max(watched.submits):.2f} s at most; the API grew by {grown // MIB} MiB,"
            f" Valkey's buffers were {watched.buffers // MIB} MiB"
        )
        assert [each for each in got if each != expected] == []
        assert (watched.refused, max(watched.submits) < SOON) == ([], True)
        assert grown < 3 * SIZE, "one copy for all"
        assert watched.buffers < SIZE // 2, "in slices"


@pytest.mark.attack(
    "many clients fetch different large results at once",
    held="the memory of the API is bounded",
)
@pytest.mark.timeout(300)
async def test_different_large_results_stay_within_the_budget(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """Requests without room in the budget wait until other answers have been read."""
    size, allowed = 30 * MIB, 96 * MIB
    async with running(tmp_path, workers=0, apis=0) as stack:
        url = await stack.api(deadlines=PATIENT, redis_url=stack.server.url(), memory_budget=allowed)
        ids = [await ended(stack, "0123456789abcdef" * (size // 16)) for _ in range(8)]
        before = psutil.Process(stack.apis[url].pid).memory_info().rss
        got = await asyncio.gather(*(fetched(f"{url}/v1/jobs/{job_id}/result", 2) for job_id in ids))
        grown = most_memory(stack.apis[url].pid) - before
        figure(
            f"{len(ids)} results of {size // MIB} MiB at once, with a budget of {allowed // MIB} MiB:"
            f" the API grew by {grown // MIB} MiB"
        )
        assert {str(each) for each in got} == {str(got[0])}
        assert all(isinstance(each, list) for each in got[0]), got[0]
        assert grown < 2 * allowed
