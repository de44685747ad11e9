"""FeederBase: what both feeders of an engine share: the loop's life, retries, restarts, and waiting claims.

`feeder.py` sends micro-batches, one after the other. `row_feeder.py` sends rows, for continuous batching.
Retries of failed inputs start in an empty engine: `isolation.py` keeps these trials and decides when one
goes first.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Sized

from structlog.typing import FilteringBoundLogger

from worker.batching.cost_model import CostModel
from worker.batching.deadlines import Deadlines
from worker.engine.protocol import Raised
from worker.leases.leased_job import Batch
from worker.loops import unless
from worker.scheduling.isolation import Isolation, Trial, Verdicts
from worker.scheduling.sent_batch import charging_on_error
from worker.scheduling.window import BatchResult, Window
from worker.supervisor.engine import Engine, EngineDied, EngineLost
from worker.supervisor.restarts import MAX_FAILURES


class FeederBase(ABC):
    """Runs the items of one window on one engine, which no other feeder uses."""

    cost_model: CostModel
    deadlines: Deadlines
    _sent: Sized
    """What is in the engine."""

    def __init__(self, engine: Engine, window: Window, log: FilteringBoundLogger) -> None:
        self.engine = engine
        self.writes_files = False
        """Whether outputs may contain files."""
        self.isolation = Isolation(window.hold, window.put_back, log)
        self._window = window
        self._log = log
        self._fatal_trial: Trial | None = None
        """The last batch that ran, if the engine died while running it."""
        self._wake = asyncio.Event()
        self._empty_first = False
        """Whether the next batch must wait until the engine is empty."""
        self._died_on_batch = False
        """Whether the engine died while running a batch, not while idle."""
        self._stopped = asyncio.Event()
        self._batch_needed = asyncio.Event()
        engine.on_event = self._wake.set

    @property
    def chooses_later(self) -> bool:
        """Whether the next batch is chosen later, after `wait_until_needed` has ended in time for a claim."""
        return not self._batch_needed.is_set()

    async def wait_until_needed(self, seconds: float) -> None:
        """Waits until a batch is chosen or soon will be, so that newly claimed jobs can join it."""
        await asyncio.sleep(0)  # admit the jobs of the last claim first
        if not self._batch_needed.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._batch_needed.wait()

    def filled(self) -> None:
        """Wakes the feeder: there may be a batch to choose."""
        self._wake.set()

    @abstractmethod
    def dropped(self) -> None:
        """Handles cancelled or lost jobs: what runs only for them ends."""

    def stop(self) -> None:
        """Lets `run` return after what runs; safe to call twice."""
        if not self._stopped.is_set():
            self._recall_waiting()
        self._stopped.set()
        self._wake.set()
        self._batch_needed.set()

    async def run(self) -> None:
        """Feeds the engine until `stop`. Raises EngineLost if its model is to be retired.

        That is if the engine cannot be kept alive, or after an internal error: other models must go on.
        """
        try:
            await self._feed()
        except EngineLost:
            raise
        except Exception as error:
            self._log.exception("internal error while feeding the engine")
            raise EngineLost(f"internal error in its worker: {type(error).__name__}: {error}") from error

    async def _feed(self) -> None:
        while True:
            self._wake.clear()
            if await self._handle_answer():
                continue
            if self._stopped.is_set() and not self._sent:
                return
            if self.engine.dead and not self._sent:
                await self._restart_dead_engine()
            elif self.engine.recycling.due and not self._sent:
                await self._restart(self.engine.recycling.due)
            elif self._accepts() and (trial := self._next()):
                await charging_on_error(trial.batch, self._send(trial))
            else:
                await self._wake.wait()

    def _accepts(self) -> bool:
        """Whether the engine may be given more at all."""
        return not (self._stopped.is_set() or self.engine.recycling.due) and self.engine.connected

    @abstractmethod
    async def _handle_answer(self) -> bool:
        """Handles one answer of the engine; returns whether there was one."""

    @abstractmethod
    def _next(self) -> Trial | None:
        """Takes what is to be sent now; None: nothing yet."""

    @abstractmethod
    async def _send(self, trial: Trial) -> None:
        """Sends it to the engine."""

    @abstractmethod
    def _recall_waiting(self) -> None:
        """Withdraws what is in the engine and has not started."""

    @abstractmethod
    def _from_window(self, cautious: bool) -> Trial | None:
        """Takes what goes next out of the window, if it can be sent now."""

    def _next_trial(self) -> Trial | None:
        """Returns what is to be sent now: a retry into an empty engine, or items of the window."""
        cautious = self._fatal_trial is not None
        if not self.isolation:
            return self._from_window(cautious)
        trial = self.isolation.due(self._window.anchor(cautious=cautious), self._fatal_trial)
        if trial is None and (chosen := self._from_window(cautious)):
            return chosen
        trial = trial or self.isolation.due(None, self._fatal_trial)  # the waiting items had expired
        if trial is None:
            return None
        if self._sent:
            self._empty_first = True
            return None
        self.isolation.take(trial)
        self._window.expire(trial.batch)
        return trial

    async def _charge(self, batch: Batch) -> None:
        jobs = {item.job.id: item.job for item in batch}
        if started := [job for job in jobs.values() if not job.over and job.start()]:
            await self._window.charge(started)

    def _raised(self, trial: Trial, reply: Raised, seconds: float) -> None:
        """Handles a trial on which the pipeline raised."""
        self._fatal_trial = None
        new = self.engine.recycling.answers <= 1
        verdicts = self.isolation.raised(trial, reply.detail, shortage=reply.shortage, new=new)
        if not verdicts and len(trial.batch) == 1:
            self.engine.recycling.due = "memory"
        self._fail(trial, verdicts, seconds)

    def _died(self, trial: Trial, error: EngineDied, seconds: float) -> None:
        """Handles a trial with which the engine died."""
        self._fatal_trial, self._died_on_batch = trial, True
        self._fail(trial, self.isolation.died(trial, error), seconds)

    def _fail(self, trial: Trial, verdicts: Verdicts, seconds: float) -> None:
        if verdicts:  # the first verdict is for the only item that was run
            _, failure = verdicts.pop(0)
            self._window.settle(trial.batch, BatchResult([failure], 0, 0, seconds, 0.0, 0.0))
        else:
            self._window.spent(seconds)
        if verdicts:
            self._window.fail(verdicts)

    async def _restart_dead_engine(self) -> None:
        """Restarts an engine that died, with a batch or while idle."""
        if not self._died_on_batch and self.engine.crashed:
            self._log.error("engine died while idle")
            if self.engine.restart_policy.failed():
                raise EngineLost(f"its engine died {MAX_FAILURES} times in a row while idle")
        self._died_on_batch = False
        await self._restart()

    async def _restart(self, reason: str = "") -> None:
        """Restarts the engine, which must be empty, unless a stop comes first."""
        self._window.restarting()
        await unless(self._stopped, self.engine.restart(reason))
