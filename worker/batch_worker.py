"""BatchWorker: serves the queue of one model with one engine.

1. claim    lease waiting jobs ahead of time, into the window
2. run      run micro-batches from the window while the engine lives: `worker/scheduling/`
3. beat     write the heartbeat to the roster, run arq's cron

`worker/leases/` writes results back and renews the other leases, `jobs/monitoring/upkeep.py` sweeps. Each of
these is a separate loop, so none waits for another. They share the window and the leases.

An orderly stop: claim no more, finish the running batch, write results back, release the rest.

A model is retired if it cannot be loaded or its engine cannot be kept alive. Its jobs stay in the queue, and
loading is retried after a pause (docs/decisions/022).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog
from arq.worker import Worker, func

from jobs.errors import BatchlineError, ConfigurationError, QueueUnavailable
from jobs.ledger import keys
from jobs.ledger.rounds import Rounds
from jobs.ledger.shards import Shards
from jobs.ledger.wire import FUNCTION
from jobs.models import ModelSpec
from jobs.monitoring.roster import HEARTBEAT_EVERY, Roster
from jobs.monitoring.upkeep import Upkeep
from jobs.settings import Settings
from jobs.store.connection import cancel
from jobs.store.store import Store
from worker.batching.batcher import Batcher
from worker.batching.cost_model import CostModel
from worker.batching.deadlines import Deadlines
from worker.batching.lengths import LengthMeter
from worker.leases.leased_job import LeasedJob
from worker.leases.leases import Leases
from worker.leases.redis_retry import RedisRetry
from worker.loops import beside, unless
from worker.scheduling.claimer import DOORBELL_WAIT, Claimer
from worker.scheduling.feeder import Feeder
from worker.scheduling.feeder_base import FeederBase
from worker.scheduling.row_feeder import RowFeeder
from worker.scheduling.window import Window
from worker.statistics import WorkerStatistics
from worker.supervisor.engine import Engine, EngineDied, EngineLost
from worker.supervisor.guard import EngineGuard


async def infer(ctx: dict[str, object], *args: object, **kwargs: object) -> None:
    """The function name of jobs in the ledger. Never called: BatchWorker runs many jobs at a time."""
    raise NotImplementedError


class BatchWorker(Worker):
    """An arq worker that runs its jobs in micro-batches on an engine."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        spec: ModelSpec,
        find_source: Callable[[], Path | None] | None,
        *,
        burst: bool = False,
        guard: EngineGuard | None = None,
    ) -> None:
        """`find_source` is called before each load, because files may arrive late; None if there are none."""
        super().__init__(
            [func(infer, name=FUNCTION)],
            queue_name=keys.queue_name(spec.name),
            redis_pool=store.events,
            burst=burst,
            handle_signals=False,
            health_check_interval=HEARTBEAT_EVERY / 2,
        )
        self.spec = spec
        self._loaded_spec = spec
        """The spec with the defaults from the model's own files."""
        self.settings = settings
        self.statistics = WorkerStatistics(spec.name)
        self.shards = Shards(store, settings, [spec.name])
        self.rounds = Rounds(self.shards, spec.name, self.statistics.beat.id)
        self.roster = Roster(self.shards.first)
        self.engine = Engine(spec, None, guard)
        self._batcher: Batcher[LeasedJob] = Batcher(spec.max_batch_items)
        self._peers = 1
        self.first_load_error: BatchlineError | None = None
        """Why the first load failed; None if it succeeded."""
        self.load_attempted = asyncio.Event()
        """Set when the first load has succeeded or failed."""
        self._find_source = find_source
        self._claim_due, self._stopping = asyncio.Event(), asyncio.Event()
        self._closing = asyncio.Event()
        """Set while no more jobs are claimed: during a stop, or when the engine is lost."""
        self._log = structlog.get_logger().bind(model=spec.name, worker=self.statistics.beat.id)
        self._overran = False
        """Whether the last batch exceeded the grace period; one of its jobs may be the cause."""
        self._retry = RedisRetry(self._log, self._stopping)
        self._leases = Leases(
            self.shards, spec.name, self.statistics, self._stopping, self._log, on_lost=self._forget
        )
        self._upkeep = Upkeep(self.shards, self._log)
        self._window = Window(self._batcher, self._leases, self.statistics, self._claim_due)
        self._window.on_partial = lambda item, text, tokens: self._leases.partial(
            item.job, item.index, text, tokens
        )
        self._window.on_begun = lambda item: self._leases.restarted(item.job, item.index)
        self._feeder: FeederBase = Feeder(self.engine, self._window, self._log)

    async def main(self) -> None:
        """Serves until `stop` is called, or in burst mode until the queue is empty.

        In burst mode raises an ExceptionGroup: with ConfigurationError if the model cannot be loaded, with
        EngineDied or EngineLost if its engine cannot be kept alive. Claimed jobs are released in either
        case.
        """
        renewing = partial(self._leases.renew_forever, self.settings.renew_every)
        async with (
            beside(self._beat_forever),
            beside(renewing),
            beside(self._upkeep.run),
        ):
            try:
                async with beside(self._leases.write_back_forever):
                    while not self._stopping.is_set():
                        try:
                            if await unless(self._stopping, self._load()):
                                await self._serve()
                        except (ConfigurationError, EngineDied, EngineLost) as error:
                            await self._retire(error)
            finally:
                self.load_attempted.set()
                await self.engine.kill()
                # in a separate task: redis-py's timeouts do not work in this one if it is cancelled
                in_order = self._stopping.is_set() and not self._overran
                await asyncio.create_task(self._leases.release_all(uncharged=in_order))

    def stop(self) -> None:
        """Starts an orderly stop; `main` returns when it is complete. Safe to call twice."""
        self._stopping.set()
        self._closing.set()
        self._feeder.stop()

    async def close(self) -> None:
        """Removes the worker from the roster. The caller closes the store."""
        await self.rounds.close()
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
        if loaded.slots:
            self._feeder = RowFeeder(self.engine, self._window, self._log, loaded.slots)
        else:
            self._feeder = Feeder(self.engine, self._window, self._log)
        if self._stopping.is_set():
            self._feeder.stop()
        self._feeder.cost_model = CostModel(loaded.cost)
        self._feeder.deadlines = Deadlines(self.spec, loaded)
        self._feeder.writes_files = loaded.writes_files
        costs = self._feeder.cost_model
        self._batcher.set_costs(loaded.cost.budget, costs.slack, costs.fill, packs=loaded.packs)
        self.load_attempted.set()
        self.statistics.loaded(loaded)
        with contextlib.suppress(QueueUnavailable):
            await self.record_health()  # at once, so that no client waits up to a second longer
        seconds = round(loaded.seconds, 2)
        self._log.info(
            "ready",
            device=loaded.device,
            dtype=loaded.dtype,
            backend=loaded.backend,
            seconds=seconds,
            why=loaded.why,
        )

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
            claiming = loops.create_task(self._claimer().run(self._drained))
            running = loops.create_task(feed())
            await self._closing.wait()
            until = time.monotonic() + self.settings.shutdown_grace
            await asyncio.wait([running], timeout=self.settings.shutdown_grace)
            self._overran = not running.done()
            await cancel(running)
            await asyncio.wait([claiming], timeout=2 * DOORBELL_WAIT)
            await cancel(claiming)  # reached only if Redis does not respond
        if lost is not None:
            raise lost
        await self._leases.wait_until_written(max(1.0, until - time.monotonic()))

    def _claimer(self) -> Claimer:
        return Claimer(
            self.rounds,
            self.settings,
            self._loaded_spec,
            self._leases,
            self._window,
            self._feeder,
            self._retry,
            lambda: self._peers,
            self._closing,
            self._log,
        )

    def _drained(self) -> None:
        """Ends a worker in burst mode, unless a shard that it cannot reach may have jobs."""
        if self.burst and not (len(self.shards) > 1 and self.shards.unavailable()):
            self.stop()

    async def _retire(self, fault: BatchlineError) -> None:
        """Releases the claimed jobs, so that other workers can run them, and waits until the next try."""
        pause = self.engine.restart_policy.retire()
        if not self.load_attempted.is_set():
            self.first_load_error = fault
        self.statistics.retired(str(fault), time.time() + pause)
        self.load_attempted.set()
        self._log.error("model retired", error=str(fault), next_try=f"in {pause:g} s")
        await self.engine.kill()
        if self.burst:
            raise fault
        with contextlib.suppress(QueueUnavailable):  # raised only during a stop
            await self._leases.release_unfinished()
        self._closing.clear()
        await unless(self._stopping, asyncio.sleep(pause))

    def _forget(self, job: LeasedJob) -> None:
        """Drops a job whose lease is lost; its remaining inputs are not run."""
        job.over = True
        self._window.discard(job)
        self._feeder.dropped()
        self._claim_due.set()

    async def _beat_forever(self) -> None:
        while True:
            with contextlib.suppress(QueueUnavailable):
                await self.heart_beat()
            await asyncio.sleep(HEARTBEAT_EVERY)

    async def record_health(self) -> None:
        """Replaces arq's health check: one heartbeat per worker, where arq has one key for all workers."""
        beat = self.statistics.beat
        beat.leases, beat.window = len(self._leases), len(self._batcher)
        state = "retired" if beat.engine_fault else self.engine.state
        beat.engine = "stopping" if self._stopping.is_set() else state
        beat.restarting_seconds = self.engine.restart_policy.seconds
        beat.load_seconds = self.engine.info.seconds if self.engine.info else 0.0
        beat.engine_restarts, beat.restart_reasons = self.engine.restarts, dict(self.engine.restart_reasons)
        await self.roster.write(beat)
        served = [peer for peer in await self.roster.read() if not peer.retired]
        self._peers = max(1, sum(peer.model == self.spec.name for peer in served))
