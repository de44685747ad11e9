"""Fixtures of the worker's tests: an engine with the poison pipeline, and a BatchWorker on a real queue."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.models import ModelSpec
from jobs.process.exits import how_it_ended
from jobs.settings import Settings
from jobs.store.store import Server
from tests.ledger import JobQueue
from tests.waiting import until
from worker.batch_worker import BatchWorker
from worker.engine.protocol import Raised, Ran
from worker.leases.leased_job import LeasedJob
from worker.supervisor.engine import Answered, Engine, EngineDied

MODEL = "sentiment"

STOP_SECONDS = 20.0
"""Maximum seconds of an orderly stop."""


def poison_spec(**fields: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": MODEL,
            "pipeline": "tests.worker.poison:Poison",
            "parameters": {"factor": "number"},
            "max_batch_items": 16,
            "token_budget": 1_000_000,  # what a busy machine measures must not decide who shares a batch
            "batch_timeout": 60.0,
            **fields,
        }
    )


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(poison_spec(memory_limit=512), None)
    await engine.start()
    yield engine
    await engine.kill()


class BatchRaised(Exception):
    """The pipeline raised on a batch; the engine lives."""


async def run(engine: Engine, inputs: list[Any], parameters: dict[str, Any]) -> Ran:
    """Runs one micro-batch. Raises BatchRaised when the pipeline did, EngineDied on a crash or a hang."""
    reply = await engine.send(inputs, parameters)
    if isinstance(reply, EngineDied):
        raise reply
    if isinstance(reply, Raised):
        raise BatchRaised(reply.detail)
    assert isinstance(reply, Ran)
    return reply


def end_hangs_early(engine: Engine, seconds: float = 0.5) -> None:
    """Gives only batches with the text `hang` so little time: on a busy machine others may look like one."""
    send = engine.send

    def hurried(inputs: list[Any], *args: Any, **others: Any) -> Answered:
        return send(inputs, *args, **(others | ({"seconds": seconds} if "hang" in inputs else {})))

    engine.send = hurried  # type: ignore[method-assign]


async def exited(engine: Engine) -> str:
    """Waits until the engine's process ends by itself, and returns how it ended."""
    assert engine._process is not None
    return how_it_ended(await engine._process.wait())


async def let_expire(worker: BatchWorker, job_id: str) -> None:
    """Waits until the worker holds the job, and ends its time to start.

    A real time might end before the worker claims it, or later by the worker's clock than by ours.
    """
    held: list[LeasedJob] = []

    async def claimed() -> bool:
        held[:] = [keeper._held[job_id] for keeper in worker._leases._keepers if job_id in keeper._held]
        return bool(held)

    await until(claimed)
    assert held[0].start_by > 0, "it has a time to start"
    held[0].start_by = 1


async def stopped(running: asyncio.Task[None]) -> None:
    """Waits until a worker has stopped in order; if it does not, fails with where each task waits."""
    await asyncio.wait([running], timeout=STOP_SECONDS)
    if not running.done():
        places = io.StringIO()
        for task in asyncio.all_tasks():
            print(task.get_name(), *_awaited(task.get_coro()), sep="\n    ", file=places)
        pytest.fail(f"the worker did not stop within {STOP_SECONDS:g} s:\n{places.getvalue()}")
    await running


def _awaited(awaitable: Any) -> Iterator[str]:
    """Yields the chain of coroutines from a task to what it waits for."""
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None)
        yield f"{awaitable!r:.120}" + (f" line {frame.f_lineno}" if frame else "")
        awaitable = getattr(awaitable, "cr_await", None)


Serving = Callable[..., AbstractAsyncContextManager[BatchWorker]]


@pytest.fixture
def serving(redis: ArqRedis, settings: Settings) -> Serving:
    """`async with serving(...)` runs a BatchWorker beside the test, and stops it in order."""

    @asynccontextmanager
    async def serve(**fields: Any) -> AsyncIterator[BatchWorker]:
        changed = {name: fields.pop(name) for name in list(fields) if name in Settings.model_fields}
        spec = poison_spec(**fields)
        source = Path(spec.source) if spec.source and spec.revision is None else None
        worker = BatchWorker(Server(redis), settings.model_copy(update=changed), spec, lambda: source)
        running = asyncio.create_task(worker.main())
        try:
            yield worker
        finally:
            worker.stop()
            await stopped(running)
            await worker.close()

    return serve


@pytest.fixture
def queue(redis: ArqRedis, settings: Settings) -> JobQueue:
    return JobQueue(redis, settings, [MODEL])
