"""Feeder: keeps the engine fed: one batch computes; when that nears its end, the next is prepared behind it.

The next batch is bound late, for what arrives until then may make it better: when the running one is
expected to end soon, or at once where it will be short. It counts as started only when it is the running one:
until then its jobs are not charged, and when the engine dies, or a stop comes, they return to the window.
Only the batch that was running is suspect then; `worker/isolation.py` takes it apart, alone in the engine.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from structlog.typing import FilteringBoundLogger

from worker.batcher import Item
from worker.engine import Answered, BatchRaised, Engine, EngineDied, EngineLost
from worker.isolation import Isolation, Outcome
from worker.ladder import TRIES
from worker.leases import LeasedJob
from worker.loops import unless
from worker.pace import Pace
from worker.protocol import Raised, Ran, Withdrawn

LEAD_SECONDS = 0.003
LEAD_SHARE = 0.1
"""How long before the expected end of a batch the next one is chosen: these seconds and this share of it."""

SHORT = 0.01
"""Seconds; behind a batch that takes less the next one is prepared at once."""

TINY = 0.001
"""Seconds; behind a batch that takes less none is prepared: it would hardly be sooner, and be smaller."""

HUNGER = 0.005
"""Seconds before it chooses the next batch at which the feeder says so: a claim takes some of them."""

Batch = list[Item[LeasedJob]]


@dataclass(slots=True)
class Flight:
    """A batch in the engine."""

    batch: Batch
    answered: Answered
    padded: int
    """What it was thought to cost before it ran: tokens, padding and all."""
    wanted: bool
    """Whether it waited already when the batch before it ended."""
    began: float | None = None
    """When it became the running one, by the monotonic clock."""
    recalled: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a batch."""

    outcomes: Sequence[Outcome]
    tokens: int
    padded: int
    """Tokens that were run, without and with padding; 0 where nobody has counted them."""
    seconds: float
    """From when it was the running one to its answer, with all that was run again."""
    compute_ms: float
    """Of its forward passes; those of two batches never overlap."""
    starved: float
    """Seconds that the engine had nothing to compute before it, although inputs waited."""
    counted: int = 0
    """`tokens`, where they are those of all its inputs."""


class Source(Protocol):
    """Where batches come from and go to."""

    def waiting(self) -> bool:
        """Whether there is anything to choose from."""
        ...

    def choose(self) -> Batch:
        """Takes the next batch; empty when there is none."""
        ...

    def cost(self, batch: Batch) -> int:
        """Tokens that it has the model compute, padding and all, as far as is known."""
        ...

    def put_back(self, batch: Batch) -> None:
        """It was not run."""
        ...

    def expire(self, batch: Batch) -> None:
        """It begins now: ends the jobs that should have begun before."""
        ...

    def charge(self, jobs: list[LeasedJob]) -> Awaitable[None]:
        """The first batch of these jobs begins; takes time only where one must be charged before that."""
        ...

    def settle(self, batch: Batch, result: Result) -> None:
        """It was run."""
        ...


class Feeder:
    """Runs batches of one source on one engine, which is nobody else's."""

    def __init__(self, engine: Engine, source: Source, log: FilteringBoundLogger) -> None:
        self.engine = engine
        self.pace: Pace
        self._source = source
        self._log = log
        self._isolation = Isolation(engine)
        self._flights: deque[Flight] = deque()
        """In the engine: the running one, and one behind it."""
        self._failed: deque[tuple[Flight, BatchRaised | EngineDied]] = deque()
        self._wake = asyncio.Event()
        self._alarms: list[asyncio.TimerHandle] = []
        self._due = False
        """Whether it is time to choose the batch behind the running one."""
        self._wanted = False
        self._empty_first = False
        """Whether the next batch must not be in the engine behind another."""
        self._stopping = False
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

    def stop(self) -> None:
        """Lets `run` end with the running batch; safe to call twice."""
        if not self._stopping and len(self._flights) == 2:
            self._flights[1].recalled = True
            self.engine.withdraw()
        self._stopping = True
        self._stopped.set()
        self._wake.set()
        self._hungry.set()

    async def run(self) -> None:
        """Feeds the engine until `stop`. Raises EngineLost when the engine cannot be kept alive."""
        while True:
            self._wake.clear()
            if self._flights and self._flights[0].answered.done():
                await self._land(self._flights.popleft())
            elif self._failed and not self._flights:
                await self._isolate(*self._failed.popleft())
            elif self._stopping and not self._flights:
                return
            elif self.engine.dead and not self._flights:
                await self._revive()
            elif self.engine.wear.due and not self._flights:
                await self._restart(self.engine.wear.due)
            elif batch := self._next():
                await self._launch(batch)
            else:
                await self._wake.wait()

    def _next(self) -> Batch:
        if self._stopping or self._failed or not self.engine.connected or len(self._flights) == 2:
            return []
        if self.engine.wear.due:
            return []
        if not self._flights:
            self._empty_first = False
            self._hungry.set()
        elif self._empty_first or not self._due:
            return []
        batch = self._source.choose()
        if self._flights and any(item.job.claimed.returned for item in batch):
            self._source.put_back(batch)  # it must be charged before it is computed
            self._empty_first = True
            return []
        self._wanted = self._wanted and bool(batch)
        return batch

    async def _launch(self, batch: Batch) -> None:
        now, first = time.monotonic(), not self._flights
        if first:
            await self._charge(batch)
        padded = self._source.cost(batch)
        alone = first and self.pace.seconds(padded) <= TINY
        answered = self.engine.send(_inputs(batch), batch[0].job.parameters, alone=alone)
        flight = Flight(batch, answered, padded, self._wanted or not first)
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
            self._source.put_back(flight.batch)
            return
        if flight.began is None:  # it was recalled too late
            await self._charge(flight.batch)
            flight.began = now
        if isinstance(reply, EngineDied):
            self._failed.appendleft((flight, reply))  # before one that only raised: that needs an engine
        elif isinstance(reply, Raised):
            self._failed.append((flight, BatchRaised(reply.detail, shortage=reply.shortage)))
        else:
            assert isinstance(reply, Ran)
            self.pace.took(flight.padded, reply.compute_ms / 1000)
            starved = reply.waited_ms / 1000 if flight.wanted else 0.0
            tokens, padded = reply.tokens or 0, reply.padded or 0
            result = Result(
                reply.outputs, tokens, padded, now - flight.began, reply.compute_ms, starved, tokens
            )
            self._source.settle(flight.batch, result)

    async def _promote(self, flight: Flight, now: float) -> None:
        """It is the running one now, if the engine was not told otherwise, and lives."""
        answered = flight.answered
        if not flight.recalled and not (answered.done() and isinstance(answered.result(), Withdrawn)):
            self._source.expire(flight.batch)  # it may have been there for long
            await self._charge(flight.batch)
            self._began(flight, now)

    async def _isolate(self, flight: Flight, error: BatchRaised | EngineDied) -> None:
        batch = flight.batch
        jobs = [item.job.id for item in batch]
        outcomes = await self._isolation.after(error, _inputs(batch), batch[0].job.parameters, jobs)
        self._wanted = False
        assert flight.began is not None
        ran, seconds = self._isolation, time.monotonic() - flight.began
        result = Result(outcomes, ran.tokens, ran.padded, seconds, ran.compute_ms, 0.0)
        self._source.settle(batch, result)

    async def _revive(self) -> None:
        """An engine that died while it had nothing to do is restarted before it has."""
        self._log.error("engine died while idle")
        if self.engine.ladder.failed():
            raise EngineLost(f"its engine died {TRIES} times in a row while it had nothing to do")
        await self._restart()

    async def _restart(self, reason: str = "") -> None:
        """Unless a stop comes first: then nothing is in the engine."""
        await unless(self._stopped, self.engine.restart(reason))


def _inputs(batch: Batch) -> list[Any]:
    return [item.job.inputs[item.index] for item in batch]
