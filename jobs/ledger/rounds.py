"""Rounds: claims from the shards in turn, the most urgent job first.

Within a shard a claim takes the most urgent jobs. Across shards it begins with the shard whose next job was
the most urgent when it was last seen, at most LOOK_EVERY ago. So priority and age hold across shards too,
except for what arrived within that time (docs/decisions/033). What is older is read again, before the claim:
a claim by itself would take its jobs from the first shard that it asks.
"""

import asyncio
import math
import time
from contextlib import suppress
from dataclasses import dataclass

from jobs.errors import QueueUnavailable
from jobs.ledger.claims import Answer, Claims
from jobs.ledger.doorbell import Doorbells
from jobs.ledger.leasing import Claimed
from jobs.ledger.shards import Shards

LOOK_EVERY = 0.1
"""Seconds for which the next job of a shard counts as known."""

SLOW = 1.0
"""Seconds without an answer after which the other shards are asked. The claim is not given up."""


@dataclass
class View:
    """What is known of a shard's queue."""

    claims: Claims
    looked: float = -math.inf
    """Time of the newest answer, by the monotonic clock."""
    left: int = 0
    head: float | None = None
    """Score of its most urgent waiting job."""
    asked: asyncio.Task[Answer] | None = None
    """A claim that has not been answered."""

    def urgency(self, now: float) -> float:
        """Returns the score of its next job: infinity if it is empty, the lowest if it must be asked."""
        if self.is_old(now):
            return -math.inf
        return math.inf if self.head is None else self.head

    def is_old(self, now: float) -> bool:
        """Whether it must be looked at again."""
        return now - self.looked > LOOK_EVERY

    def looked_at(self, head: float | None, left: int) -> None:
        """Notes what was found: the score of the next job, and how many wait."""
        self.looked, self.head, self.left = time.monotonic(), head, left


class Rounds:
    """The claims of one worker on the shards of its model."""

    def __init__(self, shards: Shards, model: str, worker: str = "") -> None:
        self._shards = shards
        self._model = model
        self._worker = worker
        self._views: list[View] = []
        self._bells = Doorbells(shards, model)

    async def claim(
        self,
        inputs: int,
        workers: int = 1,
        *,
        size: int | None = None,
        before: float | None = None,
        wait: float = 0.0,
    ) -> tuple[list[Claimed], int]:
        """Leases the most urgent jobs, as `Claims.claim`; returns them and how many jobs still wait.

        Raises QueueUnavailable if no shard answers.
        """
        for shard in list(self._shards)[len(self._views) :]:
            self._views.append(View(Claims(shard, self._worker)))
        if len(self._views) == 1:
            claim = self._views[0].claims.claim
            found = await claim(self._model, inputs, workers, size=size, before=before, wait=wait)
            return found.claimed, found.left
        await self._look()
        claimed = await self._round(inputs, workers, size, before)
        if not claimed and wait:
            rung = await self._bells.wait(wait)
            for view in self._views:
                if not rung or view.claims.shard.number in rung:
                    view.looked = -math.inf
            if not rung:
                await self._look()
            claimed = await self._round(inputs, workers, size, before)
        return claimed, sum(view.left for view in self._askable())  # others are not asked, so none can be had

    async def close(self) -> None:
        """Ends what waits for a doorbell."""
        await self._bells.close()

    async def _look(self) -> None:
        """Reads the next job of the shards of which it is not known, all at once."""
        now = time.monotonic()
        looks = {
            asyncio.create_task(view.claims.head(self._model)): view
            for view in self._askable()
            if view.is_old(now)
        }
        if not looks:
            return
        try:
            await asyncio.wait(looks, timeout=SLOW)
        finally:
            late = [look for look in looks if not look.done()]
            for look in late:
                look.cancel()
        for look, view in looks.items():
            if look in late:
                view.claims.shard.available = False
            elif not isinstance(look.exception(), QueueUnavailable):  # else the claim reports it
                head = look.result()
                view.looked_at(head, 0 if head is None else max(1, view.left))

    async def _round(
        self, inputs: int, workers: int, size: int | None, before: float | None
    ) -> list[Claimed]:
        """Asks each shard once, until there are enough inputs or bytes."""
        claimed = self._answered_late()
        room = math.inf if size is None else size - sum(len(job.payload) for job in claimed)
        most = math.inf if before is None else before
        asked: set[int] = set()
        failure: QueueUnavailable | None = None
        while inputs > 0 and (room > 0 or not claimed):
            now = time.monotonic()
            views = [view for view in self._askable() if view.claims.shard.number not in asked]
            view = min(views, key=lambda each: (each.urgency(now), each.looked), default=None)
            if view is None or view.urgency(now) >= most:
                break
            asked.add(view.claims.shard.number)
            limit = None if size is None else max(0, int(room))
            try:
                found = await self._ask(view, inputs, workers, limit, before)
            except QueueUnavailable as error:
                failure = error
                continue
            if found:
                claimed += found.claimed
                inputs -= found.inputs
                room -= sum(len(job.payload) for job in found.claimed)
        if failure and not claimed and not any(view.claims.shard.available for view in self._views):
            raise failure
        return claimed

    def _askable(self) -> list[View]:
        """Returns the shards that may be asked: those that answered last; all of them if none did."""
        free = [view for view in self._views if view.asked is None]
        return [view for view in free if view.claims.shard.available] or free

    async def _ask(
        self, view: View, inputs: int, workers: int, size: int | None, before: float | None
    ) -> Answer | None:
        """Claims from one shard; None if it does not answer soon: then the answer is used when it comes."""
        call = view.claims.claim(self._model, inputs, workers, size=size, before=before)
        view.asked = asyncio.create_task(call)
        await asyncio.wait([view.asked], timeout=SLOW)
        if not view.asked.done():
            view.claims.shard.available = False
            return None
        return self._take(view)

    def _take(self, view: View) -> Answer:
        """Returns the answer of a claim that has ended. Raises QueueUnavailable."""
        assert view.asked is not None
        task, view.asked = view.asked, None
        view.looked_at(None, 0)  # unless it answered
        found = task.result()
        view.looked_at(found.head, found.left)
        return found

    def _answered_late(self) -> list[Claimed]:
        claimed: list[Claimed] = []
        for view in self._views:
            if view.asked is not None and view.asked.done():
                with suppress(QueueUnavailable):  # it is asked again; what others claimed must not be lost
                    claimed += self._take(view).claimed
        return claimed
