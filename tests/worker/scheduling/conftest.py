"""A worker with continuous batching, for the tests of its rows."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from jobs.schema import Job
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.conftest import Serving
from tests.worker.test_batch_worker import results, submit
from worker.batch_worker import BatchWorker
from worker.scheduling.row_feeder import RowFeeder

SLOTS = 3
ROLLING = {
    "pipeline": "tests.worker.rolling:Rolling",
    "parameters": {"tokens": "integer"},
    "options": {"slots": SLOTS},
}

Rolling = Callable[..., AbstractAsyncContextManager[BatchWorker]]


@pytest.fixture
def rolling(serving: Serving) -> Rolling:
    @asynccontextmanager
    async def serve(**fields: Any) -> AsyncIterator[BatchWorker]:
        async with serving(**{**ROLLING, "renew_every": 0.05, **fields}) as worker:
            yield worker

    return serve


def feeder(worker: BatchWorker) -> RowFeeder:
    assert isinstance(worker._feeder, RowFeeder)
    return worker._feeder


async def until_joined(worker: BatchWorker, count: int, *, sent: int | None = None) -> None:
    """Waits until so many rows are computed, and so many are in the engine."""

    async def joined() -> bool:
        if not isinstance(worker._feeder, RowFeeder):
            return False  # it has not loaded its model
        rows = worker._feeder._sent.values()
        return sum(row.began is not None for row in rows) == count and sent in (None, len(rows))

    await until(joined)


def outputs(job: Job) -> list[Any]:
    return [result["output"] for result in results(job)]


async def numbers(queue: JobQueue, tokens: int, text: str = "x", **fields: Any) -> str:
    return await submit(queue, text, parameters={"tokens": tokens}, **fields)
