"""Large results: read once for all answers that show them, held once, counted in the budget of memory.

What is small travels with the job itself; how results are read from Redis is in `jobs/ledger/reading.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from weakref import WeakValueDictionary, finalize

import structlog

from api.edge.memory_budget import Budget, CutOff
from api.waiting.single_flight import SingleFlight
from jobs.ledger.reading import Reading
from jobs.schema import Job

log = structlog.get_logger(__name__)

ROOM_SECONDS = 10.0
"""Seconds that results wait for their place in memory before they are refused with 503."""

PIECE = 256 * 1024
"""Bytes that are given to a connection at once; so many are in its buffer for a client that reads slowly."""

TURNS = 4
"""Pieces of all answers that are sent in one turn of the event loop; other requests come in between."""


class Held:
    """Large results in memory. They are there, and counted, until the last answer lets go of them."""

    def __init__(self, job_id: str, data: bytearray, budget: Budget, turns: asyncio.Semaphore) -> None:
        self.size = len(data)
        self._data = data
        self._turns = turns
        self._spans: list[tuple[int, int]] | None = None
        self._share = budget.hold(self.size, partial(_drop, job_id, data))
        finalize(self, self._share.release)

    @property
    def dropped(self) -> bool:
        """Whether the memory was needed for other requests while all clients that read it had stalled."""
        return len(self._data) < self.size

    def spans(self, split: Callable[[bytearray], list[tuple[int, int]]]) -> list[tuple[int, int]]:
        """Where each result begins and ends, as `split` finds it; found once."""
        if self._spans is None:
            self._spans = split(self._data)
        return self._spans

    def part(self, start: int, end: int) -> bytes:
        """Some of the results. Raises CutOff."""
        if self.dropped:
            raise CutOff
        self._share.progress()
        return bytes(memoryview(self._data)[start:end])

    async def pieces(self) -> AsyncIterator[bytes]:
        """The results from their start. Raises CutOff."""
        for start in range(0, self.size, PIECE):
            async with self._turns:  # to a client that reads fast all would be sent in one go
                await asyncio.sleep(0)
            if self.dropped:
                raise CutOff
            self._share.progress()
            yield bytes(memoryview(self._data)[start : start + PIECE])  # a view would keep _drop from it


def _drop(job_id: str, data: bytearray) -> None:
    """Frees the memory at once, however many answers still refer to it."""
    log.info("large results dropped: their clients had stalled", job=job_id, bytes=len(data))
    data.clear()


class Large:
    """The large results that this process reads and holds."""

    def __init__(self, reading: Reading, budget: Budget) -> None:
        self._reading = reading
        self._budget = budget
        self._turns = asyncio.Semaphore(TURNS)
        self._flights: SingleFlight[Held] = SingleFlight()
        self._held: WeakValueDictionary[tuple[object, ...], Held] = WeakValueDictionary()

    async def of(self, job: Job) -> Held:
        """The results of a job whose own are UNSET.

        Raises JobGone where their lifetime ends before they were read, OverBudget and QueueUnavailable.
        """
        key = (job.id, job.finished_at)  # a stock client may use an id again
        held = self._held.get(key)
        if held is None or held.dropped:
            held = await self._flights.join(key, lambda: self._fetch(job.id))
            self._held[key] = held
        return held

    async def _fetch(self, job_id: str) -> Held:
        stored = await self._reading.stored(job_id)
        with await self._budget.acquire(self._room(stored.size), ROOM_SECONDS) as share:
            share.resize(stored.size)
            return Held(job_id, await self._reading.results(stored), self._budget, self._turns)

    def _room(self, size: int) -> int:
        """What must be free before results are read: a quarter of all stays free for bodies, if it can."""
        limit = self._budget.limit
        return max(size, min(size + limit // 4, limit - limit // 16))
