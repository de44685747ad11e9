"""RowFeeder: keeps the rows of an engine with continuous batching: each item is sent by itself.

1. Items go to the engine in the window's order, whatever their parameters, up to its slots and a few more.
   The engine has made rows of these when slots become free, so no step waits for the worker.
2. The engine reports when a row joins the computed ones. Then its job has started and is charged, and the
   row's time limit starts.
3. A row that ends is settled at once, and the next item is sent. A row whose job is over is withdrawn.
4. If the engine dies, the rows that had joined are suspects. The others return to the window, but each only
   once: a row that is in the engine at two deaths in a row and never joins may kill it before it joins.
5. Retries (`isolation.py`) have the engine for themselves. So do the rows of a job whose worker was lost.
"""

import asyncio
import time
from collections import deque

from structlog.typing import FilteringBoundLogger

from worker.batching.flows import Item
from worker.engine.protocol import Failure, Joined, Partial, Raised, Ran, Reply, Run, Withdrawn
from worker.leases.leased_job import Batch, LeasedJob
from worker.scheduling.feeder_base import FeederBase
from worker.scheduling.isolation import Trial
from worker.scheduling.sent_batch import charging_on_error, inputs, links
from worker.scheduling.sent_row import SentRow
from worker.scheduling.window import BatchResult, Window
from worker.supervisor.engine import Engine, EngineDied

AHEAD = 8
"""Slots for each row that may wait in the engine, besides one. More rows would be in the way of items
that arrive later and are more urgent."""


class RowFeeder(FeederBase):
    """Runs the items of one window as rows of an engine."""

    def __init__(self, engine: Engine, window: Window, log: FilteringBoundLogger, slots: int) -> None:
        self._sent: dict[int, SentRow] = {}
        """Rows in the engine, in the order in which they were sent."""
        super().__init__(engine, window, log)
        self._places = slots + slots // AHEAD + 1
        self._replies: deque[tuple[SentRow, Reply | EngineDied]] = deque()
        self._raised_together: Batch = []
        """Items of a step that raised, until all of them are known."""
        self._victims: list[SentRow] = []
        """Rows that were in the engine when it died."""
        self._death = EngineDied("the engine died")
        self._spared: set[Item[LeasedJob]] = set()
        """Items that were in the engine when it died and had not joined, and were not blamed."""
        engine.rows.on_reply = self._replied

    def dropped(self) -> None:
        """See FeederBase. Such rows leave after the current step.

        If it has no others, and lasts for as long as a load takes, the engine is ended.
        """
        self._recall_over()
        rows = self._joined()
        if rows and self.engine.info and all(row.item.job.over for row in rows):
            asyncio.get_running_loop().call_later(self.engine.info.seconds, self._end_unneeded, rows)

    def _end_unneeded(self, rows: list[SentRow]) -> None:
        if self._joined() == rows:
            self.engine.interrupt("the engine was killed because all jobs of its rows were cancelled or lost")

    def _joined(self) -> list[SentRow]:
        return [row for row in self._sent.values() if row.began is not None]

    def _recall_waiting(self) -> None:
        """See FeederBase."""
        for row in self._sent.values():
            if row.began is None:
                self._recall(row)

    def _recall_over(self) -> None:
        for row in self._sent.values():
            if row.item.job.over:
                self._recall(row)

    def _recall(self, row: SentRow) -> None:
        if not row.recalled:
            row.recalled = True
            self.engine.withdraw_row(row.id)

    def _replied(self, request_id: int, reply: Reply | EngineDied) -> None:
        if (row := self._sent.get(request_id)) is None:
            return  # after the end of `run`
        if isinstance(reply, Partial):
            if reply.text and not row.item.job.over:
                self._window.on_partial(row.item, reply.text, reply.tokens)
            return
        if isinstance(reply, Joined) and row.item.job.stream:
            self._window.on_begun(row.item)  # what was generated before, in another attempt, is void
        if not isinstance(reply, Joined):
            del self._sent[request_id]
            row.end()
        elif row.began is None:  # otherwise it joins again, because memory was short
            row.began = time.monotonic()
            row.alarm = asyncio.get_running_loop().call_later(row.seconds, self._overdue, row)
        self._replies.append((row, reply))
        self._wake.set()

    async def _feed(self) -> None:
        try:
            await super()._feed()
        finally:
            for row in self._sent.values():
                row.end()
            self._sent.clear()  # or a timer of `dropped` would end the next engine for them

    async def _handle_answer(self) -> bool:
        if self._replies:
            row, reply = self._replies.popleft()
            await charging_on_error([row.item], self._handle(row, reply))
        elif self._victims:
            self._judge()
        else:
            return False
        return True

    def _next(self) -> Trial | None:
        if len(self._sent) >= self._places:
            self._batch_needed.clear()
            return None
        self._batch_needed.set()
        if not self._sent:
            self._empty_first = False
        elif self._empty_first or any(row.trial.retry for row in self._sent.values()):
            return None
        return self._next_trial()

    def _from_window(self, cautious: bool) -> Trial | None:
        if self._sent and not self._may_join(self._window.head(cautious=cautious), cautious):
            return None  # it was not taken, or its owner would pay for this turn and for the next one
        item = self._window.take(cautious=cautious)
        return Trial([item]) if item else None

    def _may_join(self, item: Item[LeasedJob] | None, cautious: bool) -> bool:
        """Whether the item may be computed with the rows in the engine."""
        if item is None:
            return False
        first = next(iter(self._sent.values())).item
        if item.job is not first.job and (item.job.runs_alone or first.job.runs_alone):
            self._empty_first = True
        return not (self._empty_first or (cautious and item.rank != first.rank))

    async def _send(self, trial: Trial) -> None:
        if any(item.job.claimed.returned for item in trial.batch):
            await self._charge(trial.batch)  # such a job may kill the worker as soon as it is computed
        for item, data, link in zip(trial.batch, inputs(trial.batch), links(trial.batch), strict=True):
            self._send_row(item, trial, Run([data], item.job.parameters, links=[link]))

    def _send_row(self, item: Item[LeasedJob], trial: Trial, request: Run) -> None:
        request.stream = item.job.stream
        if not self.writes_files:
            request.links = []
        lengths = item.length + sum(row.item.length for row in self._sent.values())
        self.engine.rows.patience = self.deadlines.silence(self.cost_model.seconds(lengths))
        row = SentRow(self.engine.send_row(request), item, trial, behind=bool(self._sent))
        expected = self.cost_model.seconds(item.length)
        row.seconds = self.deadlines.seconds(self._places, item.job.parameters, expected)
        self._sent[row.id] = row

    async def _handle(self, row: SentRow, reply: Reply | EngineDied) -> None:
        match reply:
            case Joined():
                self._window.expire([row.item])  # it may have waited for long
                await self._charge([row.item])
            case Ran():
                self._ran(row, reply)
            case Raised() if row.began is None:
                await self._charge([row.item])  # it was tried
                self._raised(_trial_of(row), reply, 0.0)
            case Raised(rows=1):
                # the time of a row that shares its steps is not known
                self._raised(_trial_of(row), reply, 0.0 if self._sent else row.running_seconds)
            case Raised():
                self._raised_with_others(row, reply)
            case EngineDied():
                self._death = reply
                self._victims.append(row)
            case Withdrawn():
                self._withdrawn(row)
        if row.item.job.over:
            self._recall_over()

    def _overdue(self, row: SentRow) -> None:
        """Withdraws a row that takes too long; if even that is not answered in time, the engine hangs."""
        if row.overdue:
            self.engine.hung(self.engine.spec.batch_timeout)
            return
        row.overdue = True
        self._recall(row)
        seconds = self.engine.spec.batch_timeout
        row.alarm = asyncio.get_running_loop().call_later(seconds, self._overdue, row)

    def _ran(self, row: SentRow, reply: Ran) -> None:
        self._fatal_trial = None
        self.isolation.ran(_trial_of(row))
        seconds = reply.compute_ms / 1000
        self.deadlines.record(round(reply.rows), reply.steps, row.running_seconds)
        counted = reply.tokens or 0
        # of a pipeline that counts no tokens, those that were counted at admission
        tokens = counted or (row.item.length if row.item.job.tokens is not None else 0)
        result = BatchResult(
            reply.outputs,
            tokens,
            tokens,
            seconds,
            reply.compute_ms,
            reply.waited_ms / 1000 if row.behind else 0.0,
            counted,
            reply.files,
            reply.rows,
        )
        self._window.settle([row.item], result)

    def _raised_with_others(self, row: SentRow, reply: Raised) -> None:
        """Collects the items of a step that raised; together they are retried in halves."""
        self._raised_together.append(row.item)
        if len(self._raised_together) >= reply.rows:
            batch, self._raised_together = self._raised_together, []
            self._raised(Trial(batch), reply, row.running_seconds)

    def _withdrawn(self, row: SentRow) -> None:
        if row.overdue and not row.item.job.over:
            detail = f"the input was not done within {row.seconds:g} s"
            self._fatal_trial = None
            self.isolation.ran(_trial_of(row))
            result = BatchResult([Failure("engine-timeout", detail)], 0, 0, 0.0, 0.0, 0.0)
            self._window.settle([row.item], result)
        elif row.trial.suspect:
            self.isolation.ran(row.trial)  # its job is over, or a stop comes
        else:
            self.isolation.put_back([row.item])

    def _judge(self) -> None:
        """Blames the rows with which the engine has died: those that had joined, and all of a retry."""
        victims, self._victims = self._victims, []
        raised, self._raised_together = self._raised_together, []
        blamed = [
            row for row in victims if row.began is not None or row.trial.suspect or row.item in self._spared
        ]
        spared = [row.item for row in victims if row not in blamed]
        self._spared = {item for item in self._spared if not item.job.over}
        self._spared.difference_update(row.item for row in blamed)
        self._spared.update(spared)
        # first, because decisions about a job also cover these inputs
        self.isolation.put_back([*spared, *raised])
        if blamed:
            trial = _trial_of(blamed[0]) if len(blamed) == 1 else Trial([row.item for row in blamed])
            self._died(trial, self._death, max(row.running_seconds for row in blamed))


def _trial_of(row: SentRow) -> Trial:
    """The trial of this row alone."""
    return row.trial if len(row.trial.batch) == 1 else Trial([row.item])
