"""Chunks: runs the chunks of a batch, some at once, and records the part of each."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import structlog

from bulk.batches.batch import Batch
from bulk.batches.runs import LeaseLost, Runs, Taken
from bulk.runner import rows
from bulk.runner.lines.interface import Line, Lines, Rows, Stop
from bulk.runner.parts import Chunk, Parts
from bulk.runner.retries import Retries
from jobs.errors import ObjectNotFound, QueueUnavailable
from jobs.process import failpoints
from jobs.process.backoff import Backoff

log = structlog.get_logger(__name__)

TRIES = 5
"""Times that a chunk is tried on which the code fails unexpectedly."""
FIRST_PAUSE = 0.2
"""Seconds between the first two tries."""


class Chunks:
    """The chunks of one batch that are not done yet."""

    def __init__(
        self,
        taken: Taken,
        table: list[Chunk],
        runs: Runs,
        parts: Parts,
        lines: Lines,
        stop: Stop,
        retries: Retries,
    ) -> None:
        self._taken = taken
        self._table = table
        self._runs = runs
        self._parts = parts
        self._lines = lines
        self._stop = stop
        self._retried = retries

    @property
    def _batch(self) -> Batch:
        return self._taken.batch

    async def run(self, at_once: int) -> None:
        """Returns when each chunk has a part; after a cancellation or failure, when no chunk runs any more.

        Raises LeaseLost, Refused and ObjectNotFound.
        """
        done = await self._retried(lambda: self._runs.parts(self._batch))
        left = iter([number for number in range(len(self._table)) if number not in done])
        tasks = [asyncio.create_task(self._some(left)) for _ in range(at_once)]
        try:
            for task in asyncio.as_completed(tasks):
                await task
        except LeaseLost:
            raise
        except Exception as error:
            if isinstance(error, ObjectNotFound):  # the batch fails: its other jobs would run for nothing
                self._stop.set("failed")
            if self._stop.immediate:
                await asyncio.gather(*tasks, return_exceptions=True)
            raise
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _some(self, left: Iterator[int]) -> None:
        for number in left:
            await self._run(number)
            if self._stop.immediate:
                return

    async def _run(self, number: int) -> None:
        """Runs one chunk: its lines as jobs, their rows as one object, then the note in Redis."""
        chunk, batch = self._table[number], self._batch
        assert batch.table is not None
        table = batch.table
        lines = await self._retried(lambda: self._parts.lines(table, chunk, batch.asked.endpoint))
        known = await self._outcomes(number, lines)
        if self._stop.reason == "failed":  # a part of a chunk must not count if the end is not recorded
            return
        if self._stop.reason == "cancelled" and not known.output and not known.errors:
            return
        late, found = 0, known
        if self._stop.reason == "expired":
            late, found = len(known.left), rows.expired(batch.id, known)
        failpoints.reach("before_part")
        part = await self._retried(lambda: self._parts.put_part(number, found))
        failpoints.reach("after_part")
        await self._retried(lambda: self._runs.chunk_done(self._taken, number, part, found.tokens, late))
        failpoints.reach("after_chunk")
        with suppress(QueueUnavailable):  # else the results end with their lifetime
            await self._lines.release(found.jobs)

    async def _outcomes(self, number: int, lines: list[Line]) -> Rows:
        backoff = Backoff(FIRST_PAUSE, 10.0)
        while True:
            try:
                return await self._lines.run(self._batch, number, lines, self._stop)
            except Exception:  # after a bug, the other chunks must still get their outcomes
                log.exception("chunk failed", batch=self._batch.id, chunk=number)
                if backoff.failed() >= TRIES:
                    return rows.broken(self._batch.id, lines)
            await asyncio.sleep(backoff.pause)
