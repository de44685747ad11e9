"""BatchWorker: one model's queue, served by one engine.

1. claim    lease waiting jobs ahead, into the window
2. run      the next micro-batch from the window, whenever the engine is free
3. beat     tell the roster, run arq's cron

and, in `worker/keeper.py`, write back what ended, renew the leases of the rest, sweep. Each is a loop of
its own, so that none waits for another; they meet in the window and in the keeper.
Stopping is in order: claim no more, let the running batch end, write back, give back the rest.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func

from jobs import keys
from jobs.connection import cancel
from jobs.errors import InvalidRequest, QueueUnavailable
from jobs.models import ModelSpec
from jobs.queue import JobQueue
from jobs.settings import Settings
from jobs.wire import FUNCTION
from jobs.workers import HEARTBEAT_EVERY, Roster
from worker.batcher import Batcher, Item
from worker.engine import RESTART_TRIES, Engine, EngineDied
from worker.isolation import Isolation
from worker.keeper import LeaseKeeper
from worker.leases import LeasedJob
from worker.lengths import LengthMeter
from worker.patience import Patience
from worker.protocol import NO_BUDGET
from worker.vitals import Vitals

DOORBELL_WAIT = 0.5
"""Seconds between looks at the queue when nobody rings, as for a job that a stock arq client enqueued."""

Loop = Callable[[], Coroutine[Any, Any, None]]


async def infer(ctx: dict[str, object], *args: object, **kwargs: object) -> None:
    """What a job is called in the ledger; a BatchWorker runs many at a time and never calls it."""
    raise NotImplementedError


class BatchWorker(Worker):
    """An arq worker whose jobs are run in micro-batches by an engine."""

    def __init__(
        self,
        redis: ArqRedis,
        settings: Settings,
        spec: ModelSpec,
        source: Path | None,
        *,
        burst: bool = False,
    ) -> None:
        super().__init__(
            [func(infer, name=FUNCTION)],
            queue_name=keys.queue_name(spec.name),
            redis_pool=redis,
            burst=burst,
            handle_signals=False,
            health_check_interval=HEARTBEAT_EVERY / 2,
        )
        self.spec = spec
        self.settings = settings
        self.queue = JobQueue(redis, settings, [spec.name])
        self.roster = Roster(redis)
        self.engine = Engine(spec, source)
        self.vitals = Vitals(spec.name)
        self._isolation = Isolation(self.engine)
        self._window: Batcher[LeasedJob] = Batcher(spec.max_batch_items, NO_BUDGET)
        self._meter: LengthMeter
        self._peers = 1
        self._filled, self._taken, self._stopping = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._log = structlog.get_logger().bind(model=spec.name, worker=self.vitals.beat.id)
        self._idle_deaths = 0
        self._overran = False
        """Whether the last batch did not end within the grace; one of its jobs may be why."""
        self._patiently = Patience(self._log, self._stopping)
        self._keeper = LeaseKeeper(
            self.queue, spec.name, self.vitals, self._patiently, self._log, on_lost=self._forget
        )

    async def main(self) -> None:
        """Serves until `stop` is called, or in burst mode until the queue is empty.

        Raises, in an ExceptionGroup, ConfigurationError when the model cannot be loaded and EngineDied
        when its engine cannot be kept alive; what was claimed is given back all the same.
        """
        renewing = partial(self._keeper.renew_forever, self.settings.renew_every)
        async with (
            self._beside(self._beat_forever),
            self._beside(renewing),
            self._beside(self._keeper.sweep_forever),
        ):
            try:
                if await self._unless_stopped(self._load()):
                    async with self._beside(self._keeper.write_back_forever):
                        await self._serve()
            finally:
                await self.engine.kill()
                # in a task of its own: this one may be cancelled already, and redis-py's timeouts mind that
                in_order = self._stopping.is_set() and not self._overran
                await asyncio.create_task(self._keeper.give_back(uncharged=in_order))

    def stop(self) -> None:
        """Starts an orderly stop; `main` returns when it is done. Safe to call twice."""
        self._stopping.set()
        self._filled.set()

    async def close(self) -> None:
        """Leaves the roster. The connection is closed by who made it."""
        with contextlib.suppress(QueueUnavailable):
            await self.roster.remove(self.vitals.beat.id)

    async def _load(self) -> None:
        loaded = await self.engine.start()
        self._meter = LengthMeter(loaded)
        self._window.token_budget = loaded.cost.budget
        self.vitals.loaded(loaded)
        with contextlib.suppress(QueueUnavailable):
            await self.record_health()  # at once, so that nobody waits a second longer than needed
        seconds = round(loaded.seconds, 2)
        self._log.info("ready", device=loaded.device, dtype=loaded.dtype, seconds=seconds, why=loaded.why)

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._claim_forever())
            running = loops.create_task(self._run_forever())
            await self._stopping.wait()
            until = time.monotonic() + self.settings.shutdown_grace
            await asyncio.wait([running], timeout=self.settings.shutdown_grace)
            self._overran = not running.done()
            await cancel(running)
        await self._keeper.written(max(1.0, until - time.monotonic()))

    # 1. claim

    async def _claim_forever(self) -> None:
        with contextlib.suppress(QueueUnavailable):  # raised only when stopping
            while not self._stopping.is_set():
                room = self.settings.window_items - len(self._window)
                # a large job may fill the window for long; what is more urgent goes before it all the same
                if room > 0:
                    left = await self._claim(room)
                else:
                    left = await self._claim(self.spec.max_batch_items, self._window.head)
                if self.burst and not left and not len(self._keeper):
                    self.stop()
                if len(self._window) and (left or room <= 0):
                    # claims keep pace with batches, so that other workers get their share
                    self._taken.clear()
                    await self._unless_stopped(self._taken.wait())
                elif not left:
                    ring = self._patiently(self.queue.doorbell, self.spec.name, DOORBELL_WAIT)
                    await self._unless_stopped(ring)

    async def _claim(self, inputs: int, before: float | None = None) -> int:
        """Claims jobs with about so many inputs into the window; returns how many are left waiting."""
        claimed, left = await self._patiently(self.queue.claim, self.spec.name, inputs, self._peers, before)
        leased = [LeasedJob(job, self.spec, self.settings.max_result_bytes) for job in claimed]
        self._keeper.add(leased)
        for job in leased:
            await self._admit(job)
        return left

    async def _admit(self, job: LeasedJob) -> None:
        """Into the window, or straight to its end when it cannot be run."""
        tries = self.settings.max_attempts
        try:
            job.unpack()
            lengths = await self._meter.measure(job.inputs, job.parameters)
            group = job.group
        except Exception as error:  # whatever a stock client has enqueued, it must not stop the others
            what = str(error) if isinstance(error, InvalidRequest) else f"{type(error).__name__}: {error}"
            self._keeper.end(job, job.failed("invalid-request", what))
            return
        if job.claimed.attempts >= tries:
            self._keeper.end(job, job.failed("attempts-exhausted", f"its worker was lost {tries} times"))
            return
        urgency = job.claimed.score
        self._window.add(Item(job, index, urgency, length, group) for index, length in enumerate(lengths))
        self._filled.set()

    def _forget(self, job: LeasedJob) -> None:
        """Its lease is lost: what of it is still in the window need not run."""
        self._window.discard(job)
        self._taken.set()

    # 2. run

    async def _run_forever(self) -> None:
        while not self._stopping.is_set():
            if batch := self._next_batch():
                await self._run_batch(batch)
            else:
                self._taken.set()
                self._filled.clear()
                await self._filled_or_died()

    def _next_batch(self) -> list[Item[LeasedJob]]:
        """The next batch, less what has expired in the window."""
        while batch := self._window.next_batch():
            self._taken.set()
            overdue = {item.job.id: item.job for item in batch if item.job.overdue}
            for job in overdue.values():
                self._window.discard(job)
                self._keeper.end(job, job.expired())
            if in_time := [item for item in batch if item.job.id not in overdue]:
                return in_time
        return []

    async def _run_batch(self, batch: list[Item[LeasedJob]]) -> None:
        jobs = {item.job.id: item.job for item in batch}
        if started := [job for job in jobs.values() if job.start()]:
            await self._keeper.start(started)
        inputs = [item.job.inputs[item.index] for item in batch]
        began = time.monotonic()
        outcomes = await self._isolation.run(inputs, batch[0].job.parameters)
        self._idle_deaths = 0
        for item, outcome in zip(batch, outcomes, strict=True):
            item.job.settle(item.index, outcome)
        tokens = sum(item.length for item in batch)
        padded = max(item.length for item in batch) * len(batch)
        self.vitals.ran(len(batch), tokens, padded, time.monotonic() - began)
        for job in jobs.values():
            job.ran_in(len(batch), tokens, padded, self._isolation.compute_ms)
            if (job.done or job.too_large) and self._keeper.holds(job):
                self._window.discard(job)
                self._keeper.end(job, job.finished())

    async def _filled_or_died(self) -> None:
        """Waits for work; an engine that dies while it has none is restarted before there is some."""
        died = asyncio.ensure_future(self.engine.exited())
        filled = asyncio.ensure_future(self._filled.wait())
        try:
            await asyncio.wait([died, filled], return_when=asyncio.FIRST_COMPLETED)
            if died.done() and not self._stopping.is_set():
                self._idle_deaths += 1
                self._log.error("engine died while idle", how=died.result(), times=self._idle_deaths)
                if self._idle_deaths > RESTART_TRIES:
                    raise EngineDied(f"the engine of {self.spec.name!r} dies again and again")
                await self.engine.restart()
        finally:
            await cancel(died, filled)

    # 3. beat

    async def _beat_forever(self) -> None:
        while True:
            with contextlib.suppress(QueueUnavailable):
                await self.heart_beat()
            await asyncio.sleep(HEARTBEAT_EVERY)

    async def record_health(self) -> None:
        """arq's health check: this worker's own heartbeat, where arq has one key for all of them."""
        beat = self.vitals.beat
        beat.leases, beat.window = len(self._keeper), len(self._window)
        beat.engine = "stopping" if self._stopping.is_set() else self.engine.state
        beat.engine_restarts = self.engine.restarts
        await self.roster.write(beat)
        peers = [peer for peer in await self.roster.read() if peer.model == self.spec.name]
        self._peers = max(1, len(peers))

    # Shared by the loops

    async def _unless_stopped(self, work: Coroutine[Any, Any, object]) -> bool:
        """Does the work, or drops it when the stop comes first; returns whether it was done."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            return task.done()
        finally:
            await cancel(task, stop)

    @contextlib.asynccontextmanager
    async def _beside(self, loop: Loop) -> AsyncIterator[None]:
        """Runs a loop beside the block; should the loop fail, the block is cancelled and its error raised."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(loop())
            try:
                yield
            finally:
                await cancel(task)
