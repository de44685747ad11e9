"""Rounds: claims from the shards in turn, the most urgent job first.

Within a shard a claim takes the most urgent jobs. Across shards it begins with the shard whose next job was
the most urgent when it was last seen, at most LOOK_EVERY ago. So priority and age hold across shards too,
except for what arrived within that time (docs/decisions/033). Shards that were seen before that are asked for
their next job at once, before the claim. A doorbell names its shard, which is then the only one to be asked.
"""

import asyncio
import math
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from jobs.errors import QueueUnavailable
from jobs.ledger.claims import Answer, Claims
from jobs.ledger.doorbell import Doorbells
from jobs.ledger.leasing import Claimed
from jobs.ledger.shards import Shards

LOOK_EVERY = 0.1
"""Seconds after which a shard is asked again, whatever was known of it."""

SLACK = 100
"""Milliseconds of waiting time by which a claim may take less urgent jobs than the next shard's, to save a
round trip. A claim takes its share from each shard with waiting jobs, however urgent they are."""

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
    owners: frozenset[str] = frozenset()
    """Owners with waiting jobs, if some of them are named."""
    asked: asyncio.Task[Answer] | None = None
    """A claim that has not been answered."""

    def has_work(self, before: Mapping[str, float], now: float) -> bool:
        """Whether it may have a job that a claim with this `before` takes."""
        owners = self.owners or {""}
        most = max(before.values()) if owners <= before.keys() else math.inf
        return self.urgency(now) < most

    def urgency(self, now: float) -> float:
        """Returns the score of its next job: infinity if it is empty, the lowest if it must be asked."""
        if now - self.looked > LOOK_EVERY:
            return -math.inf
        return math.inf if self.head is None else self.head


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
        before: Mapping[str, float] = {},
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
        size = self._shards.settings.window_bytes if size is None else size  # for all shards together
        claimed = await self._round(inputs, workers, size, before)
        if not claimed and wait:
            rung = await self._bells.wait(wait)
            for view in self._views:
                if not rung or view.claims.shard.number in rung:
                    view.looked = -math.inf
            claimed = await self._round(inputs, workers, size, before, rung)
        return claimed, sum(view.left for view in self._askable())  # others are not asked, so none can be had

    async def close(self) -> None:
        """Ends what waits for a doorbell."""
        await self._bells.close()

    async def _round(
        self,
        inputs: int,
        workers: int,
        size: int,
        before: Mapping[str, float],
        only: Collection[int] = (),
    ) -> list[Claimed]:
        """Asks each shard once, or only some, until there are enough inputs or bytes."""
        claimed = self._answered_late()
        room = size - sum(job.size for job in claimed)
        asked = {view.claims.shard.number for view in self._views} - set(only) if only else set()
        outcomes = await self._look(asked)
        while inputs > 0 and (room > 0 or not claimed):
            now = time.monotonic()
            views = [view for view in self._askable() if view.claims.shard.number not in asked]
            views = [view for view in views if view.has_work(before, now)]
            view = min(views, key=lambda each: (each.urgency(now), each.looked), default=None)
            if view is None:
                break
            asked.add(view.claims.shard.number)
            heads = [each.head for each in views if each is not view and each.head is not None]
            share = math.ceil(inputs / (1 + len(heads)))
            preferred = min(heads, default=0) + SLACK
            limit = max(0, room)
            for found in await self._ask([view], inputs, workers, limit, before, share, preferred):
                outcomes.append(found)
                if isinstance(found, Answer):
                    claimed += found.claimed
                    inputs -= found.inputs
                    room -= sum(job.size for job in found.claimed)
        failures = [outcome for outcome in outcomes if isinstance(outcome, QueueUnavailable)]
        if failures and not claimed and len(failures) == len(outcomes):
            raise failures[-1]
        return claimed

    def _askable(self) -> list[View]:
        """Returns the shards that may be asked: those that answered last; all of them if none did."""
        free = [view for view in self._views if view.asked is None]
        return [view for view in free if view.claims.shard.available] or free

    async def _look(self, asked: Collection[int]) -> list[Answer | QueueUnavailable]:
        """Learns the next jobs of the shards that were not seen lately, unless only one may have jobs."""
        now = time.monotonic()
        views = [view for view in self._askable() if view.claims.shard.number not in asked]
        stale = [view for view in views if view.urgency(now) == -math.inf]
        if not stale or sum(view.urgency(now) < math.inf for view in views) == 1:
            return []
        return await self._ask(stale, 0)

    async def _ask(
        self,
        views: Sequence[View],
        inputs: int,
        workers: int = 1,
        size: int | None = None,
        before: Mapping[str, float] = {},
        share: int | None = None,
        preferred: float = 0.0,
    ) -> list[Answer | QueueUnavailable]:
        """Claims from shards at once; returns what those answer that do so soon.

        The other claims are not given up: their answers are used when they come.
        """
        for view in views:
            claim = view.claims.claim(
                self._model,
                inputs,
                workers,
                size=size,
                before=before,
                share=share,
                preferred=max(0.0, preferred),
            )
            view.asked = asyncio.create_task(claim)
        await asyncio.wait([view.asked for view in views if view.asked], timeout=SLOW)
        found: list[Answer | QueueUnavailable] = []
        for view in views:
            if view.asked is None or not view.asked.done():
                view.claims.shard.available = False
                continue
            try:
                found.append(self._take(view))
            except QueueUnavailable as error:
                found.append(error)
        return found

    def _take(self, view: View) -> Answer:
        """Returns the answer of a claim that has ended. Raises QueueUnavailable."""
        assert view.asked is not None
        task, view.asked = view.asked, None
        view.looked, view.left, view.head, view.owners = time.monotonic(), 0, None, frozenset()
        found = task.result()
        view.left, view.head, view.owners = found.left, found.head, found.owners
        return found

    def _answered_late(self) -> list[Claimed]:
        claimed: list[Claimed] = []
        for view in self._views:
            if view.asked is not None and view.asked.done():
                with suppress(QueueUnavailable):  # it is asked again; what others claimed must not be lost
                    claimed += self._take(view).claimed
        return claimed
