"""Large results: read and held once for all answers that contain them, and counted in the memory budget.

Small results are part of the job. `jobs/ledger/reading.py` reads results from Redis.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from weakref import WeakValueDictionary, finalize

import structlog

from api.edge.memory_budget import Budget, CutOff, Share
from api.waiting.single_flight import SingleFlight
from jobs.ledger.attachments import Attachment
from jobs.ledger.reading import Reading
from jobs.schema import Job

log = structlog.get_logger(__name__)

MEMORY_SECONDS = 10.0
"""Seconds that results wait for free memory before the request is refused with 503."""

PIECE = 256 * 1024
"""Bytes that are written to a connection at once. A slow client's connection buffers up to this many."""

PIECES_PER_TURN = 4
"""Maximum pieces of all answers that are sent in one iteration of the event loop, so that others can run."""


class HeldResults:
    """Large results in memory. They are held, and counted, until no answer refers to them."""

    def __init__(self, job_id: str, data: bytearray, budget: Budget, turns: asyncio.Semaphore) -> None:
        self.size = len(data)
        self._data = data
        self._turns = turns
        self._spans: list[tuple[int, int]] | None = None
        self._share = budget.hold(self.size, partial(_drop, job_id, data))
        finalize(self, self._share.release)

    @property
    def dropped(self) -> bool:
        """Whether the results were dropped: others needed the memory, and all clients had stalled."""
        return len(self._data) < self.size

    def spans(self, split: Callable[[bytearray], list[tuple[int, int]]]) -> list[tuple[int, int]]:
        """The start and end of each result, as `split` returns them. `split` is called once."""
        if self._spans is None:
            self._spans = split(self._data)
        return self._spans

    def part(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`. Raises CutOff if the results were dropped."""
        if self.dropped:
            raise CutOff
        self._share.progress()
        return bytes(memoryview(self._data)[start:end])

    async def pieces(self, first: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """All bytes in pieces, or those from `first` to `end`. Raises CutOff if the results were dropped."""
        end = self.size if end is None else end
        for start in range(first, end, PIECE):
            async with self._turns:  # else all would be sent to a fast client without a pause
                await asyncio.sleep(0)
            if self.dropped:
                raise CutOff
            self._share.progress()
            yield bytes(memoryview(self._data)[start : min(start + PIECE, end)])  # a view would prevent _drop


def _drop(job_id: str, data: bytearray) -> None:
    """Frees the memory at once, even if answers still refer to it."""
    log.info("large results dropped", reason="all their clients stalled", job=job_id, bytes=len(data))
    data.clear()


class LargeResults:
    """The large results that this process reads and holds."""

    def __init__(self, reading: Reading, budget: Budget) -> None:
        self._reading = reading
        self._budget = budget
        self._turns = asyncio.Semaphore(PIECES_PER_TURN)
        self._flights: SingleFlight[HeldResults] = SingleFlight()
        self._held: WeakValueDictionary[tuple[object, ...], HeldResults] = WeakValueDictionary()

    async def of(self, job: Job) -> HeldResults:
        """The results of a job whose `results` are UNSET. That it was read shows that its caller may see it.

        Raises JobGone if their lifetime ends before they are read, OverBudget and QueueUnavailable.
        """
        key = (job.id, job.finished_at)  # an arq client may reuse an id
        held = self._held.get(key)
        if held is None or held.dropped:
            held = await self._flights.join(key, lambda: self._fetch(job.id))
            self._held[key] = held
        return held

    async def copy(self, job: Job, size: int = 1) -> tuple[bytearray, Share]:
        """The results for one answer that is made of them, and a share of `size` times their bytes.

        They cannot be dropped, as held results can: no client is reading them yet. Raises as `of`.
        """
        stored = await self._reading.stored(job.id, sees=None)
        share = await self._budget.acquire(size * stored.size, MEMORY_SECONDS)
        try:
            return await self._reading.results(stored), share
        except BaseException:
            share.release()
            raise

    async def attachment(self, found: Attachment, start: int, end: int) -> HeldResults | None:
        """A part of a medium or a file, held in the same way; None if it is gone by now.

        Raises OverBudget and QueueUnavailable.
        """
        with await self._budget.acquire(self._required_memory(end - start), MEMORY_SECONDS) as share:
            share.resize(end - start)
            content = await found.read(start, end)
            if content is None:
                return None
            return HeldResults(found.job_id, bytearray(content), self._budget, self._turns)

    async def _fetch(self, job_id: str) -> HeldResults:
        stored = await self._reading.stored(job_id, sees=None)
        with await self._budget.acquire(self._required_memory(stored.size), MEMORY_SECONDS) as share:
            share.resize(stored.size)
            return HeldResults(job_id, await self._reading.results(stored), self._budget, self._turns)

    def _required_memory(self, size: int) -> int:
        """Bytes that must be free before results are read. If possible a quarter of the budget stays free."""
        limit = self._budget.limit
        return max(size, min(size + limit // 4, limit - limit // 16))
