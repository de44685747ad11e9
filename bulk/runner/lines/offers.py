"""Offered: a group's job as the queue is offered it. Its inputs are in memory only until it is accepted."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from api.problems.exceptions import EXPECTED
from bulk.batches.batch import Batch
from bulk.runner.lines.groups import Group, merged
from bulk.runner.lines.interface import Line
from jobs.schema import NewJob

RESULT_TTL = 86_400.0
"""Seconds for which an ended job of a batch is kept if no runner reads its results: a day of outage."""

Make = Callable[[Line], Awaitable[NewJob]]
"""Makes the job of a line by itself, with its media."""


class LinesFailed(Exception):
    """Some lines of a group cannot be run, by their numbers."""

    def __init__(self, errors: Mapping[int, Exception]) -> None:
        super().__init__(f"{len(errors)} lines failed")
        self.errors = errors


class Offered:
    """See `queueing.Offer`."""

    def __init__(self, batch: Batch, group: Group, make: Make, gate: asyncio.Semaphore | None) -> None:
        """`gate` bounds how many jobs with media are in memory."""
        self._batch = batch
        self._group = group
        self._make = make
        self._gate = gate
        self._holds_gate = False
        self._job: NewJob | None = None

    async def job(self) -> NewJob:
        """See Offer."""
        if self._job is None:
            if self._gate is not None and not self._holds_gate:
                await self._gate.acquire()
                self._holds_gate = True
            self._job = replace(
                await self._made(),
                priority="low",
                sender=self._batch.asked.sender,
                result_ttl=RESULT_TTL,
                group=self._batch.id,
            )
        return self._job

    def accepted(self) -> None:
        """See Offer. It may be called again."""
        self._job = None
        if self._holds_gate:
            self._holds_gate = False
            assert self._gate is not None
            self._gate.release()

    async def _made(self) -> NewJob:
        known, self._group.job = self._group.job, None
        if known is not None:
            return known
        lines = [part.line for part in self._group.parts]
        made: list[NewJob | None] = [None] * len(lines)
        errors: dict[int, Exception] = {}

        async def make(at: int) -> None:
            try:
                made[at] = await self._make(lines[at])
            except EXPECTED as error:
                errors[lines[at].number] = error

        await all_of(make(at) for at in range(len(lines)))
        if errors:
            raise LinesFailed(errors)
        return merged([job for job in made if job is not None])


async def all_of(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs all at once. If one fails or is cancelled, so are the others."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
