"""BatchWorker: one model's queue, served by one engine.

1. claim    lease waiting jobs ahead, into the window
2. run      micro-batches from the window, for as long as the engine lives: `worker/scheduling/`
3. beat     tell the roster, run arq's cron

and, in `worker/leases/keeper.py`, write back what ended, renew the leases of the rest, sweep. Each is a loop
of its own, so that none waits for another; they meet in the window and in the keeper.
Stopping is in order: claim no more, let the running batch end, write back, give back the rest.
A model that cannot be loaded, or whose engine cannot be kept alive, is retired: its jobs wait in the queue,
and it is loaded again after a while (docs/decisions/022).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog
from arq.connections import ArqRedis
from arq.worker import Worker, func

from jobs.errors import BatchlineError, ConfigurationError, QueueUnavailable
from jobs.ledger import keys
from jobs.ledger.claims import Claims
from jobs.ledger.wire import FUNCTION
from jobs.models import ModelSpec
from jobs.monitoring.roster import HEARTBEAT_EVERY, Roster
from jobs.settings import Settings
from jobs.store.connection import cancel
from worker.batching.batcher import Batcher
from worker.batching.cost_model import CostModel
from worker.batching.deadlines import Deadlines
from worker.batching.lengths import LengthMeter
from worker.leases.keeper import LeaseKeeper
from worker.leases.leased_job import LeasedJob
from worker.leases.redis_retry import RedisRetry
from worker.loops import beside, unless
from worker.scheduling.admission import Admission
from worker.scheduling.feeder import Feeder
from worker.scheduling.window import Window
from worker.statistics import WorkerStatistics
from worker.supervisor.engine import Engine, EngineDied, EngineLost
from worker.supervisor.guard import EngineGuard

DOORBELL_WAIT = 0.5
"""Seconds between looks at the queue when nobody rings, as for a job of a stock arq client. A stop waits for
this, or for twice as long: a claim that is broken off may have leased jobs."""

CLAIM_PAUSE = 0.02
"""Seconds between claims at most while the engine is busy; they come when it needs the next batch."""

MANY = 2
"""Jobs in one claim from which on the next is made without waiting for the doorbell, which rings on."""


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
        find_source: Callable[[], Path | None] | None,
        *,
        burst: bool = False,
        guard: EngineGuard | None = None,
    ) -> None:
        """`find_source` is called before each load, for files may come late; None where there are none."""
        super().__init__(
            [func(infer, name=FUNCTION)],
            queue_name=keys.queue_name(spec.name),
            redis_pool=redis,
            burst=burst,
            handle_signals=False,
            health_check_interval=HEARTBEAT_EVERY / 2,
        )
        self.spec = spec
        self._loaded_spec = spec
        """With the defaults that the model's own files ask for."""
        self.settings = settings
        self.claims = Claims(redis, settings, [spec.name])
        self.roster = Roster(redis)
        self.engine = Engine(spec, None, guard)
        self.statistics = WorkerStatistics(spec.name)
        self._batcher: Batcher[LeasedJob] = Batcher(spec.max_batch_items)
        self._peers = 1
        self.first_fault: BatchlineError | None = None
        """Why it could not be loaded at the start."""
        self.tried = asyncio.Event()
        """Set when the model was loaded for the first time, or could not be."""
        self._find_source = find_source
        self._taken, self._stopping = asyncio.Event(), asyncio.Event()
        self._closing = asyncio.Event()
        """Set while no more is to be claimed: when stopping, or when the engine is lost."""
        self._log = structlog.get_logger().bind(model=spec.name, worker=self.statistics.beat.id)
        self._overran = False
        """Whether the last batch did not end within the grace; one of its jobs may be why."""
        self._retry = RedisRetry(self._log, self._stopping)
        self._keeper = LeaseKeeper(
            self.claims, spec.name, self.statistics, self._retry, self._log, on_lost=self._forget
        )
        self._window = Window(self._batcher, self._keeper, self.statistics, self._taken)
        self._feeder = Feeder(self.engine, self._window, self._log)
        self._admission = Admission(
            self.claims, settings, self._keeper, self._window, self._retry, lambda: self._feeder.filled()
        )

    async def main(self) -> None:
        """Serves until `stop` is called, or in burst mode until the queue is empty.

        In burst mode raises ConfigurationError when the model cannot be loaded, EngineDied or EngineLost when
        its engine cannot be kept alive, in an ExceptionGroup; what was claimed is given back all the same.
        """
        renewing = partial(self._keeper.renew_forever, self.settings.renew_every)
        async with (
            beside(self._beat_forever),
            beside(renewing),
            beside(self._keeper.sweep_forever),
        ):
            try:
                async with beside(self._keeper.write_back_forever):
                    while not self._stopping.is_set():
                        try:
                            if await unless(self._stopping, self._load()):
                                await self._serve()
                        except (ConfigurationError, EngineDied, EngineLost) as error:
                            await self._retire(error)
            finally:
                self.tried.set()
                await self.engine.kill()
                # in a task of its own: this one may be cancelled already, and redis-py's timeouts mind that
                in_order = self._stopping.is_set() and not self._overran
                await asyncio.create_task(self._keeper.give_back(uncharged=in_order))

    def stop(self) -> None:
        """Starts an orderly stop; `main` returns when it is done. Safe to call twice."""
        self._stopping.set()
        self._closing.set()
        self._feeder.stop()

    async def close(self) -> None:
        """Leaves the roster. The connection is closed by who made it."""
        with contextlib.suppress(QueueUnavailable):
            await self.roster.remove(self.statistics.beat.id)

    async def _load(self) -> None:
        if self._find_source is not None:
            self.engine.source = self._find_source()
        loaded = await self.engine.start()
        self._loaded_spec = self.spec.model_copy(
            update={"defaults": {**loaded.defaults, **self.spec.defaults}}
        )
        self._window.meter = LengthMeter(self.spec.definition, loaded)
        self._feeder.cost_model = CostModel(loaded.cost)
        self._feeder.deadlines = Deadlines(self.spec, loaded)
        self._batcher.price(loaded.cost.budget, self._feeder.cost_model.slack, packs=loaded.packs)
        self.tried.set()
        self.statistics.loaded(loaded)
        with contextlib.suppress(QueueUnavailable):
            await self.record_health()  # at once, so that nobody waits a second longer than needed
        seconds = round(loaded.seconds, 2)
        self._log.info("ready", device=loaded.device, dtype=loaded.dtype, seconds=seconds, why=loaded.why)

    async def _serve(self) -> None:
        lost: EngineLost | None = None

        async def feed() -> None:
            nonlocal lost
            try:
                await self._feeder.run()
            except EngineLost as error:
                lost = error
                self._closing.set()

        async with asyncio.TaskGroup() as loops:
            claiming = loops.create_task(self._claim_forever())
            running = loops.create_task(feed())
            await self._closing.wait()
            until = time.monotonic() + self.settings.shutdown_grace
            await asyncio.wait([running], timeout=self.settings.shutdown_grace)
            self._overran = not running.done()
            await cancel(running)
            await asyncio.wait([claiming], timeout=2 * DOORBELL_WAIT)
            await cancel(claiming)  # Redis stands still
        if lost is not None:
            raise lost
        await self._keeper.written(max(1.0, until - time.monotonic()))

    async def _retire(self, fault: BatchlineError) -> None:
        """Gives back what was claimed, so that other workers can run it, and waits until the next try."""
        pause = self.engine.restart_policy.retire()
        if not self.tried.is_set():
            self.first_fault = fault
        self.statistics.retired(str(fault), time.time() + pause)
        self.tried.set()
        self._log.error("model retired", error=str(fault), next_try=f"in {pause:g} s")
        await self.engine.kill()
        if self.burst:
            raise fault
        with contextlib.suppress(QueueUnavailable):  # raised only when stopping
            await self._retry(self._keeper.hand_back)
        self._feeder = Feeder(self.engine, self._window, self._log)
        self._closing.clear()
        await unless(self._stopping, asyncio.sleep(pause))

    # 1. claim

    async def _claim_forever(self) -> None:
        wait = 0.0
        with contextlib.suppress(QueueUnavailable):  # raised only when stopping
            while not self._closing.is_set():
                # who waits may find an empty window when somebody rings
                trials = self._feeder.isolation
                waiting = 0 if wait else len(self._batcher)
                room = trials.room(self.settings.window_items, waiting, self.spec.max_batch_items)
                if self._keeper.bytes >= self.settings.window_bytes and (waiting or trials.jobs > 1):
                    room = 0
                # when it is full for long, what is more urgent goes before it all the same
                if room > 0:
                    claimed, left = await self._claim(room, wait=wait)
                else:
                    before = self._batcher.head if len(self._batcher) else trials.head
                    claimed, left = await self._claim(self.spec.max_batch_items, before=before)
                if self.burst and not left and not len(self._keeper):
                    self.stop()
                wait = 0.0
                held = len(self._batcher) or (room <= 0 and len(trials))  # else nothing is taken any more
                if held and (left or room <= 0):
                    # claims keep pace with batches, so that other workers get their share
                    self._taken.clear()
                    await unless(self._closing, self._taken.wait())
                    continue
                if claimed:  # one claim for what comes while the engine is busy, not one for each ring
                    await self._feeder.hunger(CLAIM_PAUSE)
                if claimed < MANY and not left:
                    wait = DOORBELL_WAIT

    async def _claim(self, inputs: int, *, before: float | None = None, wait: float = 0.0) -> tuple[int, int]:
        """Claims jobs with about so many inputs into the window; returns how many, and how many wait."""
        size = max(0, self.settings.window_bytes - self._keeper.bytes)
        claim = partial(self.claims.claim, size=size, before=before, wait=wait)
        claimed, left = await self._retry(claim, self.spec.name, inputs, self._peers)
        leased = await self._admission.admit(claimed, self._loaded_spec)
        if self._closing.is_set():
            await self._keeper.hand_on(leased)
        return len(claimed), left

    def _forget(self, job: LeasedJob) -> None:
        """Its lease is lost: what of it was not run yet need not be."""
        job.over = True
        self._batcher.discard(job.items)
        self._feeder.dropped()
        self._taken.set()

    # 3. beat

    async def _beat_forever(self) -> None:
        while True:
            with contextlib.suppress(QueueUnavailable):
                await self.heart_beat()
            await asyncio.sleep(HEARTBEAT_EVERY)

    async def record_health(self) -> None:
        """arq's health check: this worker's own heartbeat, where arq has one key for all of them."""
        beat = self.statistics.beat
        beat.leases, beat.window = len(self._keeper), len(self._batcher)
        state = "retired" if beat.engine_fault else self.engine.state
        beat.engine = "stopping" if self._stopping.is_set() else state
        beat.restarting_seconds = self.engine.restart_policy.seconds
        beat.load_seconds = self.engine.info.seconds if self.engine.info else 0.0
        beat.engine_restarts, beat.restart_reasons = self.engine.restarts, dict(self.engine.restart_reasons)
        await self.roster.write(beat)
        served = [peer for peer in await self.roster.read() if not peer.retired]
        self._peers = max(1, sum(peer.model == self.spec.name for peer in served))
