"""Runner: takes open batches one by one and runs several at a time."""

import asyncio
from collections.abc import Callable

import structlog

from bulk.batches.runs import Runs, Taken
from bulk.runner.batch_run import BatchRun
from bulk.runner.stopping import uninterrupted
from jobs.errors import QueueUnavailable
from jobs.store.outage import Outage

log = structlog.get_logger(__name__)

POLL = 0.5
"""Seconds between looks for an open batch, while there is room for one."""


class Runner:
    """The batches of this process."""

    def __init__(self, runs: Runs, at_once: int, start: Callable[[Taken], BatchRun]) -> None:
        """`at_once`: most batches at a time. `start` makes the run of a batch."""
        self._runs = runs
        self._at_once = at_once
        self._start = start
        self._running: dict[asyncio.Task[None], BatchRun] = {}
        self._outage = Outage(log)

    async def run(self) -> None:
        """Runs until it is cancelled; then its batches are given back, and their jobs continue."""
        try:
            while True:
                if not await self._take():
                    await self._pause()
        finally:
            await uninterrupted(self._give_back())

    async def _give_back(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    @property
    def _has_room(self) -> bool:
        """Whether one more may begin. None does beside a suspect, or each of them would seem to be one."""
        return len(self._running) < self._at_once and not any(run.suspect for run in self._running.values())

    async def _take(self) -> bool:
        if not self._has_room:
            return False
        try:
            taken = await self._runs.take()
        except QueueUnavailable as error:
            self._outage.failed(error)
            return False
        self._outage.succeeded()
        if taken is None:
            return False
        run = self._start(taken)
        task = asyncio.create_task(self._run(taken, run))
        self._running[task] = run
        task.add_done_callback(self._running.pop)
        return True

    async def _run(self, taken: Taken, run: BatchRun) -> None:
        try:
            await run.run()
        except Exception:  # after a bug, other batches must continue; this one is taken again after its lease
            log.exception("batch interrupted", batch=taken.batch.id)

    async def _pause(self) -> None:
        """Waits until there may be something to do."""
        if len(self._running) < self._at_once:
            await asyncio.sleep(POLL)
        else:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
