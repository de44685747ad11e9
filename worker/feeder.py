"""Feeder: keeps the engine fed: one batch computes; when that nears its end, the next is prepared behind it.

The next batch is bound late, for what arrives until then may make it better: when the running one is
expected to end soon, or at once where it will be short. It counts as started only when it is the running one:
until then its jobs are not charged, and when the engine dies, or a stop comes, they return to the window.
Only the batch that was running is suspect then. What is to be tried again of it is a batch like any other
that begins in an empty engine: `worker/isolation.py` keeps these trials and says when one goes first.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from structlog.typing import FilteringBoundLogger

from worker.deadlines import Deadlines
from worker.engine import Answered, Engine, EngineDied, EngineLost
from worker.isolation import Isolation, Trial
from worker.ladder import TRIES
from worker.leases import Batch
from worker.loops import unless
from worker.pace import Pace
from worker.protocol import Raised, Ran, Withdrawn
from worker.source import Result, Source

LEAD_SECONDS = 0.003
LEAD_SHARE = 0.1
"""How long before the expected end of a batch the next one is chosen: these seconds and this share of it."""

SHORT = 0.01
"""Seconds; behind a batch that takes less the next one is prepared at once."""

TINY = 0.001
"""Seconds; behind a batch that takes less none is prepared: it would hardly be sooner, and be smaller."""

HUNGER = 0.005
"""Seconds before it chooses the next batch at which the feeder says so: a claim takes some of them."""


@dataclass(slots=True)
class Flight:
    """A batch in the engine."""

    trial: Trial
    answered: Answered
    padded: int
    """What it was thought to cost before it ran: tokens, padding and all."""
    wanted: bool
    """Whether it waited already when the batch before it ended."""
    began: float | None = None
    """When it became the running one, by the monotonic clock."""
    recalled: bool = False

    @property
    def batch(self) -> Batch:
        return self.trial.batch


class Feeder:
    """Runs batches of one source on one engine, which is nobody else's."""

    def __init__(self, engine: Engine, source: Source, log: FilteringBoundLogger) -> None:
        self.engine = engine
        self.pace: Pace
        self.deadlines: Deadlines
        self._source = source
        self._log = log
        self.isolation = Isolation(source.hold, source.put_back, log)
        self._flights: deque[Flight] = deque()
        """In the engine: the running one, and one behind it."""
        self._fell: Trial | None = None
        """The last one that ran, if the engine died of it."""
        self._wake = asyncio.Event()
        self._alarms: list[asyncio.TimerHandle] = []
        self._due = False
        """Whether it is time to choose the batch behind the running one."""
        self._wanted = False
        self._empty_first = False
        """Whether the next batch must not be in the engine behind another."""
        self._explained = False
        """Whether the engine died of a batch, and not while it was idle."""
        self._stopped = asyncio.Event()
        self._hungry = asyncio.Event()
        engine.on_event = self._wake.set

    async def hunger(self, seconds: float) -> None:
        """Waits until a batch is chosen, or soon will be, so that what is claimed then may be in it."""
        await asyncio.sleep(0)  # what was claimed last comes first
        if not self._hungry.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._hungry.wait()

    def filled(self) -> None:
        """There may be a batch to choose."""
        self._wake.set()

    def dropped(self) -> None:
        """Jobs were cancelled or lost. An engine that computes for none but those is ended.

        But not before that has taken as long as to load the model: until then it is cheaper to wait.
        """
        if not self._flights:
            return
        flight = self._flights[0]
        if flight.began and self.engine.info and all(item.job.over for item in flight.batch):
            left = flight.began + self.engine.info.seconds - time.monotonic()
            asyncio.get_running_loop().call_later(max(0.0, left), self._end_for_nobody, flight)

    def _end_for_nobody(self, flight: Flight) -> None:
        if self._flights and self._flights[0] is flight and not flight.answered.done():
            self.engine.interrupt("the engine was ended, as the jobs of its batch were over")

    def stop(self) -> None:
        """Lets `run` end with the running batch; safe to call twice."""
        if not self._stopped.is_set() and len(self._flights) == 2:
            self._flights[1].recalled = True
            self.engine.withdraw()
        self._stopped.set()
        self._wake.set()
        self._hungry.set()

    async def run(self) -> None:
        """Feeds the engine until `stop`. Raises EngineLost when the engine cannot be kept alive."""
        while True:
            self._wake.clear()
            if self._flights and self._flights[0].answered.done():
                await self._land(self._flights.popleft())
            elif self._stopped.is_set() and not self._flights:
                return
            elif self.engine.dead and not self._flights:
                await self._revive()
            elif self.engine.wear.due and not self._flights:
                await self._restart(self.engine.wear.due)
            elif trial := self._next():
                await self._launch(trial)
            else:
                await self._wake.wait()

    def _next(self) -> Trial | None:
        if self._stopped.is_set() or not self.engine.connected or self.engine.wear.due:
            return None
        if len(self._flights) == 2:
            return None
        if not self._flights:
            self._empty_first = False
            self._hungry.set()
        elif self._empty_first or not self._due or self._flights[0].trial.suspect:
            return None
        cautious = self._fell is not None
        if not self.isolation:
            return self._from_window(cautious)
        trial = self.isolation.due(self._source.anchor(cautious=cautious), self._fell)
        if trial is None and (chosen := self._from_window(cautious)):
            return chosen
        trial = trial or self.isolation.due(None, self._fell)  # what waited had expired
        if trial is None:
            return None
        if self._flights:
            self._empty_first = True
            return None
        self.isolation.take(trial)
        self._source.expire(trial.batch)
        return trial

    def _from_window(self, cautious: bool) -> Trial | None:
        batch = self._source.choose(cautious=cautious)
        if self._flights and any(item.job.claimed.returned for item in batch):
            self._source.put_back(batch)  # it must be charged before it is computed
            self._empty_first = True
            return None
        self._wanted = self._wanted and bool(batch)
        return Trial(batch) if batch else None

    async def _launch(self, trial: Trial) -> None:
        batch, now, first = trial.batch, time.monotonic(), not self._flights
        if first:
            await self._charge(batch)
        padded = self._source.cost(batch)
        expected, parameters = self.pace.seconds(padded), batch[0].job.parameters
        deadline = self.deadlines.seconds(len(batch), parameters, expected)
        answered = self.engine.send(
            _inputs(batch), parameters, alone=first and expected <= TINY, seconds=deadline
        )
        flight = Flight(trial, answered, padded, self._wanted or not first)
        self._flights.append(flight)
        if first:
            self._began(flight, now)
        else:
            self._hungry.clear()

    async def _charge(self, batch: Batch) -> None:
        jobs = {item.job.id: item.job for item in batch}
        if started := [job for job in jobs.values() if not job.over and job.start()]:
            await self._source.charge(started)

    def _began(self, flight: Flight, now: float) -> None:
        flight.began = now
        expected = self.pace.seconds(flight.padded)
        self._due = TINY < expected <= SHORT
        self._hungry.clear()
        for alarm in self._alarms:
            alarm.cancel()
        self._alarms.clear()
        if self._due:
            self._hungry.set()
        elif SHORT < expected < math.inf:
            bind, later = (
                expected - LEAD_SECONDS - LEAD_SHARE * expected,
                asyncio.get_running_loop().call_later,
            )
            self._alarms += later(bind - HUNGER, self._hungry.set), later(bind, self._bind)

    def _bind(self) -> None:
        self._due = True
        self._wake.set()

    async def _land(self, flight: Flight) -> None:
        now, reply = time.monotonic(), flight.answered.result()
        if self._flights:
            await self._promote(self._flights[0], now)
        else:
            self._wanted = self._source.waiting()
        if isinstance(reply, Withdrawn):
            self.isolation.put_back(flight.batch)
            return
        if flight.began is None:  # it was recalled too late
            await self._charge(flight.batch)
            flight.began = now
        if not isinstance(reply, Ran):
            assert isinstance(reply, Raised | EngineDied)
            self._failed(flight.trial, reply, now - flight.began)
            return
        self._fell = None
        self.pace.took(flight.padded, reply.compute_ms / 1000)
        self.deadlines.took(len(flight.batch), reply.steps, reply.compute_ms / 1000)
        starved = reply.waited_ms / 1000 if flight.wanted else 0.0
        tokens, padded = reply.tokens or 0, reply.padded or 0
        self.isolation.ran(flight.trial)
        result = Result(reply.outputs, tokens, padded, now - flight.began, reply.compute_ms, starved, tokens)
        self._source.settle(flight.batch, result)

    def _failed(self, trial: Trial, reply: Raised | EngineDied, seconds: float) -> None:
        if isinstance(reply, EngineDied):
            self._fell, self._explained, self._wanted = trial, True, False
            verdicts = self.isolation.died(trial, reply)
        else:
            self._fell = None
            new = self.engine.wear.answers <= 1
            verdicts = self.isolation.raised(trial, reply.detail, shortage=reply.shortage, new=new)
            if not verdicts and len(trial.batch) == 1:
                self.engine.wear.due = "memory"
        if verdicts:  # first that of the only item that was run
            _, failure = verdicts.pop(0)
            self._source.settle(trial.batch, Result([failure], 0, 0, seconds, 0.0, 0.0))
        else:
            self._source.spent(seconds)
        if verdicts:
            self._source.fail(verdicts)

    async def _promote(self, flight: Flight, now: float) -> None:
        """It is the running one now, if the engine was not told otherwise, and lives."""
        answered = flight.answered
        if not flight.recalled and not (answered.done() and isinstance(answered.result(), Withdrawn)):
            self._source.expire(flight.batch)  # it may have been there for long
            await self._charge(flight.batch)
            self._began(flight, now)

    async def _revive(self) -> None:
        """An engine that died is restarted, also one that died while it had nothing to do."""
        if not self._explained:
            self._log.error("engine died while idle")
            if self.engine.ladder.failed():
                raise EngineLost(f"its engine died {TRIES} times in a row while it had nothing to do")
        self._explained = False
        await self._restart()

    async def _restart(self, reason: str = "") -> None:
        """Unless a stop comes first; nothing is in the engine."""
        self._source.restarting()
        await unless(self._stopped, self.engine.restart(reason))


def _inputs(batch: Batch) -> list[Any]:
    return [item.job.inputs[item.index] for item in batch]
