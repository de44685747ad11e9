"""A full queue never exceeds its limit, sends Retry-After, and accepts all jobs in the end."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.v1.problems import MEDIA_TYPE
from jobs.problem_kinds import TYPE
from jobs.store.connection import cancel
from tests.faults.clients import nonces
from tests.faults.scenario import scenario
from tests.faults.stack import MODEL, Stack
from tests.gate import Gate
from tests.ledger import SHARDS
from tests.waiting import until

SUBMITTERS = 200
APIS = 2
PAUSE = 1.0
"""Seconds after which a refused client retries, less than the API asks for."""


class Sampler:
    """The largest number of jobs, and of payload bytes, seen in the queue."""

    def __init__(self) -> None:
        self.jobs = self.bytes = self.samples = 0
        self._full_at = 0
        """Samples taken when the queue was full."""

    async def _watch(self, stack: Stack) -> None:
        while True:
            depth = (await stack.queue.depth())[MODEL]
            self.jobs = max(self.jobs, depth.waiting + depth.deferred + depth.running)
            self.bytes = max(self.bytes, depth.bytes)
            self.samples += 1
            await asyncio.sleep(0.002)  # so that it leaves the server to others

    async def saw_a_full_queue(self, refused: "Refused", submitting: asyncio.Future[list[None]]) -> bool:
        """Whether many submits were refused, and a sample was taken since; while no job ends."""
        if submitting.done():
            await submitting  # which raises what went wrong
        if refused.count <= SUBMITTERS / 4:
            return False
        self._full_at = self._full_at or self.samples
        return self.samples >= self._full_at + 2  # the first may have begun before

    @asynccontextmanager
    async def sampling(self, stack: Stack) -> AsyncIterator[None]:
        task = asyncio.create_task(self._watch(stack))
        try:
            yield
        finally:
            assert not task.done(), "it saw all of it"
            await cancel(task)


class Refused:
    """The refusals; each must be the documented problem."""

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0

    def take(self, response: httpx.Response, reason: str) -> None:
        self.count += 1
        assert response.status_code == 503, response.text
        assert response.headers["content-type"] == MEDIA_TYPE
        problem: dict[str, Any] = response.json()
        assert problem["type"] == TYPE + "queue-full"
        assert reason in problem["detail"]
        assert response.headers["retry-after"].isdecimal()
        assert int(response.headers["retry-after"]) >= 1
        self.longest = max(self.longest, int(response.headers["retry-after"]))


@pytest.mark.parametrize(
    ("limit", "size", "reason"),
    [
        ({"max_queued_jobs": 100}, 10, "limit of jobs"),
        ({"max_queued_bytes": 100_000}, 1_000, "limit of bytes"),
    ],
)
@pytest.mark.parametrize(
    "each", [1, pytest.param(20, marks=[pytest.mark.thorough, pytest.mark.timeout(600)])]
)
async def test_a_full_queue(
    tmp_path: Path, gate: Gate, limit: dict[str, int], size: int, reason: str, each: int
) -> None:
    """The engine is held until the queue is full, so that no sample has to come at the right moment.

    With several shards each API process keeps the limits for what it accepts within a second.

    It learns of the others' jobs once a second (jobs/ledger/admission.py).
    """
    slow = {"max_batch_items": 8, "token_budget": 100_000, "options": {"seconds": 0.1}}
    sampler, refused = Sampler(), Refused()
    async with scenario(tmp_path, apis=APIS, model=slow, **limit) as run:
        apis = itertools.cycle(run.stack.apis)
        await run.clients.submit(f"{nonces(1)[0]} {gate.text}")

        async def held() -> bool:
            return bool(run.stack.runs())

        await until(held)
        async with AsyncExitStack() as exits:
            pools = [  # a single pool would take more time than the server
                await exits.enter_async_context(httpx.AsyncClient(base_url=next(apis), timeout=60))
                for _ in range(SUBMITTERS // 10)
            ]
            await exits.enter_async_context(sampler.sampling(run.stack))

            async def submit(client: httpx.AsyncClient) -> None:
                for nonce in nonces(each):
                    text = f"{nonce} {'x' * size}"
                    while True:
                        response = await client.post("/v1/jobs", json={"inputs": text})
                        if response.status_code == 202:
                            run.clients.accepted[text] = response.json()["id"]
                            break
                        refused.take(response, reason)
                        await asyncio.sleep(PAUSE)

            submitting = asyncio.gather(*(submit(pool) for pool in pools * 10))
            if SHARDS == 1:
                await until(partial(sampler.saw_a_full_queue, refused, submitting))
            gate.open()
            await submitting
            assert len(await run.check()) == 1 + SUBMITTERS * each, "all of them got in, and an answer"
        print(  # noqa: T201 - numbers to look at
            f"at most {sampler.jobs} jobs, {sampler.bytes} bytes in {sampler.samples} samples;"
            f" {refused.count} refusals, Retry-After up to {refused.longest} s"
        )
        if SHARDS > 1:
            assert sampler.jobs <= APIS * limit.get("max_queued_jobs", math.inf)
            assert sampler.bytes <= APIS * limit.get("max_queued_bytes", math.inf)
            return
        if "max_queued_jobs" in limit:
            assert sampler.jobs == limit["max_queued_jobs"]
        else:
            most = limit["max_queued_bytes"]
            assert most - 2 * size < sampler.bytes <= most
