"""Feeder: keeps the engine busy: while one batch computes, the next is prepared behind it.

The next batch is chosen late, because new arrivals may improve it: shortly before the running batch is
expected to end, or at once if that batch is short. A prepared batch has not started: its jobs are not
charged, and they return to the window if the engine dies or a stop comes. So only the running batch is
suspect when the engine dies.
"""

import asyncio
import math
import time
from collections import deque

from structlog.typing import FilteringBoundLogger

from worker.engine.protocol import Raised, Ran, Withdrawn
from worker.scheduling.feeder_base import FeederBase
from worker.scheduling.isolation import Trial
from worker.scheduling.sent_batch import SentBatch, charging_on_error, inputs, links
from worker.scheduling.window import BatchResult, Window
from worker.supervisor.engine import Engine, EngineDied

LEAD_SECONDS = 0.003
LEAD_SHARE = 0.1
"""The next batch is chosen this long before the running one is expected to end: seconds plus share."""

SHORT_BATCH = 0.01
"""Seconds. If the running batch takes less, the next one is prepared at once."""

TINY_BATCH = 0.001
"""Seconds. If the running batch takes less, none is prepared: it would gain little time and be smaller."""

CLAIM_SECONDS = 0.005
"""Seconds by which `wait_until_needed` ends before the next batch is chosen, because a claim takes time."""


class Feeder(FeederBase):
    """Runs micro-batches on an engine, one after the other."""

    def __init__(self, engine: Engine, window: Window, log: FilteringBoundLogger) -> None:
        self._sent: deque[SentBatch] = deque()
        """Batches in the engine: the running one, and at most one behind it."""
        super().__init__(engine, window, log)
        self._alarms: list[asyncio.TimerHandle] = []
        self._runs_long = False
        """Whether the running batch leaves time for a claim before the next one is chosen."""
        self._due = False
        """Whether it is time to choose the batch behind the running one."""
        self._wanted = False

    @property
    def chooses_later(self) -> bool:
        """See FeederBase. Short batches follow each other at once."""
        return self._runs_long and super().chooses_later

    def dropped(self) -> None:
        """Handles cancelled or lost jobs: a batch of only such jobs is withdrawn, or its engine is ended.

        The engine is ended once the batch has run for as long as a load takes: until then waiting is cheaper.
        """
        if len(self._sent) == 2 and self._sent[1].over:
            self._recall(self._sent[1])
        if self._sent and self._sent[0].over and self.engine.info:
            running, now = self._sent[0], time.monotonic()
            left = (running.began or now) + self.engine.info.seconds - now
            asyncio.get_running_loop().call_later(max(0.0, left), self._end_unneeded, running)

    def _end_unneeded(self, sent: SentBatch) -> None:
        if self._sent and self._sent[0] is sent and not sent.answered.done():
            self.engine.interrupt(
                "the engine was killed because all jobs of its batch were cancelled or lost"
            )

    def _recall_waiting(self) -> None:
        """See FeederBase."""
        if len(self._sent) == 2:
            self._recall(self._sent[1])

    def _recall(self, behind: SentBatch) -> None:
        """Withdraws the batch that was sent last, unless it has started."""
        if not behind.recalled:
            behind.recalled = True
            self.engine.withdraw()

    async def _handle_answer(self) -> bool:
        if not (self._sent and self._sent[0].answered.done()):
            return False
        if len(self._sent) == 1 and len(self._sent[0].batch) > 1 and not self._batch_needed.is_set():
            self._batch_needed.set()  # Redis leases the next jobs while these are settled
            await asyncio.sleep(0)
        sent = self._sent.popleft()
        await charging_on_error(sent.batch, self._handle_reply(sent))
        return True

    def _next(self) -> Trial | None:
        if len(self._sent) == 2:
            return None
        if not self._sent:
            self._empty_first = False
            self._batch_needed.set()
        elif self._empty_first or not self._due or self._sent[0].trial.suspect:
            return None
        return self._next_trial()

    def _from_window(self, cautious: bool) -> Trial | None:
        batch = self._window.choose(cautious=cautious)
        if self._sent and any(item.job.claimed.returned for item in batch):
            self._window.put_back(batch)  # must be charged before it is computed
            self._empty_first = True
            return None
        self._wanted = self._wanted and bool(batch)
        return Trial(batch) if batch else None

    async def _send(self, trial: Trial) -> None:
        batch, now, first = trial.batch, time.monotonic(), not self._sent
        padded = self._window.cost(batch)
        expected, parameters = self.cost_model.seconds(padded), batch[0].job.parameters
        if first:
            self._chosen(expected)
            await self._charge(batch)
        rows = self.deadlines.rows(len(batch), padded)
        deadline = self.deadlines.seconds(rows, parameters, expected)
        answered = self.engine.send(
            inputs(batch),
            parameters,
            alone=first and expected <= TINY_BATCH,
            seconds=deadline,
            links=links(batch) if self.writes_files else (),
        )
        sent = SentBatch(trial, answered, padded, self._wanted or not first)
        self._sent.append(sent)
        if first:
            self._began(sent, now)
        else:
            self._batch_needed.clear()

    def _chosen(self, expected: float) -> None:
        """Notes that the running batch is known: a claim from now on is for a later one."""
        self._runs_long = expected > SHORT_BATCH
        self._batch_needed.clear()

    def _began(self, sent: SentBatch, now: float) -> None:
        sent.began = now
        expected = self.cost_model.seconds(sent.padded)
        self._due = TINY_BATCH < expected <= SHORT_BATCH
        self._chosen(expected)
        for alarm in self._alarms:
            alarm.cancel()
        self._alarms.clear()
        if self._due:
            self._batch_needed.set()
        elif SHORT_BATCH < expected < math.inf:
            due_in = expected - LEAD_SECONDS - LEAD_SHARE * expected
            call_later = asyncio.get_running_loop().call_later
            self._alarms.append(call_later(due_in - CLAIM_SECONDS, self._batch_needed.set))
            self._alarms.append(call_later(due_in, self._make_due))
        self.dropped()  # its jobs may already be over

    def _make_due(self) -> None:
        self._due = True
        self._wake.set()

    async def _handle_reply(self, sent: SentBatch) -> None:
        now, reply = time.monotonic(), sent.answered.result()
        if self._sent and isinstance(reply, EngineDied):
            # first, because decisions about a job also cover its inputs in that batch
            self.isolation.put_back(self._sent.popleft().batch)
        if self._sent:
            await self._promote(self._sent[0], now)
        else:
            self._wanted = self._window.waiting()
        if isinstance(reply, Withdrawn):
            self.isolation.put_back(sent.batch)
            return
        if sent.began is None:  # recalled too late
            await self._charge(sent.batch)
            sent.began = now
        if not isinstance(reply, Ran):
            if isinstance(reply, Raised):
                self._raised(sent.trial, reply, now - sent.began)
            else:
                assert isinstance(reply, EngineDied)
                self._wanted = False
                self._died(sent.trial, reply, now - sent.began)
            return
        self._fatal_trial = None
        self.cost_model.record(sent.padded, reply.compute_ms / 1000)
        self.deadlines.record(len(sent.batch), reply.steps, reply.compute_ms / 1000)
        starved = reply.waited_ms / 1000 if sent.wanted else 0.0
        tokens, padded = reply.tokens or 0, reply.padded or 0
        self.isolation.ran(sent.trial)
        result = BatchResult(
            reply.outputs, tokens, padded, now - sent.began, reply.compute_ms, starved, tokens, reply.files
        )
        self._window.settle(sent.batch, result)

    async def _promote(self, sent: SentBatch, now: float) -> None:
        """Makes a prepared batch the running one, unless it was withdrawn or the engine died."""
        answered = sent.answered
        if not sent.recalled and not (answered.done() and isinstance(answered.result(), Withdrawn)):
            self._window.expire(sent.batch)  # it may have waited for long
            await self._charge(sent.batch)
            self._began(sent, now)
        else:
            self.dropped()  # the withdrawal may come too late
