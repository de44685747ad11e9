"""Claimer: the loop that leases waiting jobs ahead of time, into the window.

It claims while the window has room: once for each batch, so that other workers get their share. Owners have
equal parts of the window. If it is full, a claim takes only what is more urgent than what its owner has
there, and jobs of owners that have nothing there.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial

from structlog.typing import FilteringBoundLogger

from jobs.errors import QueueUnavailable
from jobs.ledger.rounds import Rounds
from jobs.models import ModelSpec
from jobs.settings import Settings
from worker.leases.leases import Leases
from worker.leases.redis_retry import RedisRetry
from worker.loops import unless
from worker.scheduling.admission import Admission
from worker.scheduling.feeder_base import FeederBase
from worker.scheduling.window import Window

DOORBELL_WAIT = 0.5
"""Seconds between checks of the queue without a doorbell ring: a stock arq client does not ring it. A stop
waits for this time or twice as long, because an interrupted claim may have leased jobs."""

CLAIM_PAUSE = 0.02
"""Longest pause in seconds between claims while the engine is busy; it ends when the next batch is needed."""

LATEST_CLAIM = 0.5
"""Longest pause in seconds between claims if the window holds a full batch."""

BUSY_CLAIM = 2
"""After a claim of at least this many jobs, the next claim does not wait for the doorbell."""

MAX_HELD = 8
"""Times `window_bytes` that a worker may hold, one large job of each owner, before it claims no more."""


class Claimer:
    """Claims for one worker, from the start of its engine until `closing` is set."""

    def __init__(
        self,
        rounds: Rounds,
        settings: Settings,
        spec: ModelSpec,
        leases: Leases,
        window: Window,
        feeder: FeederBase,
        retry: RedisRetry,
        peers: Callable[[], int],
        closing: asyncio.Event,
        log: FilteringBoundLogger,
    ) -> None:
        """`spec` has the defaults of the loaded model. `peers` counts the workers of the model."""
        self._rounds = rounds
        self._settings = settings
        self._spec = spec
        self._leases = leases
        self._window = window
        self._batcher = window.batcher
        self._feeder = feeder
        self._retry = retry
        self._peers = peers
        self._closing = closing
        self._admission = Admission(settings, leases, window, feeder.filled, log)

    async def run(self, drained: Callable[[], None]) -> None:
        """Claims until `closing`. Calls `drained` when no job waits and none is held."""
        wait = 0.0
        with contextlib.suppress(QueueUnavailable):  # raised only during a stop
            while not self._closing.is_set():
                if self._leases.bytes >= MAX_HELD * self._settings.window_bytes:
                    await unless(self._closing, asyncio.sleep(CLAIM_PAUSE))
                    continue
                trials = self._feeder.isolation
                room = self._room(waiting_for_doorbell=wait > 0)
                if room > 0:
                    claimed, left = await self._claim(room, self._satisfied(), wait)
                else:  # even if the window stays full for long
                    before = self._batcher.heads or trials.heads
                    claimed, left = await self._claim(self._spec.max_batch_items, before)
                if not left and not len(self._leases):
                    drained()
                wait = 0.0
                held = len(self._batcher) or (room <= 0 and len(trials))  # otherwise no batch would be taken
                if held and (left or room <= 0):
                    await self._until_due()
                    continue
                if claimed:  # one claim for all jobs that arrive while the engine is busy
                    await self._feeder.wait_until_needed(CLAIM_PAUSE)
                if claimed < BUSY_CLAIM and not left:
                    wait = DOORBELL_WAIT

    def _room(self, *, waiting_for_doorbell: bool) -> int:
        """Returns the number of inputs that may be claimed now."""
        # a claim that waits for the doorbell may find an empty window when it rings
        size, trials = self._settings.window_items, self._feeder.isolation
        waiting = 0 if waiting_for_doorbell else self._batcher.occupied(size)
        if self._leases.bytes >= self._settings.window_bytes and (waiting or trials.jobs > 1):
            return 0
        return trials.room(size, waiting, self._spec.max_batch_items)

    def _satisfied(self) -> Mapping[str, float]:
        """Returns the owners whose part of the window is full; none while there is one owner."""
        return self._batcher.satisfied(self._settings.window_items) if self._batcher.shared else {}

    async def _until_due(self) -> None:
        """Waits until the next claim is due: after a batch is chosen, or before that if the window holds one.

        Then it is as late as possible: what comes while a batch runs and is more urgent is in the next one.
        """
        if not (self._holds_batch() and self._feeder.chooses_later):
            self._window.claim_due.clear()
            await unless(self._closing, self._window.claim_due.wait())
        if self._holds_batch():
            await self._feeder.wait_until_needed(LATEST_CLAIM)

    def _holds_batch(self) -> bool:
        """Whether the window holds a full batch, or as much as it may."""
        return self._batcher.full or (len(self._batcher) > 0 and self._room(waiting_for_doorbell=False) <= 0)

    async def _claim(self, inputs: int, before: Mapping[str, float], wait: float = 0.0) -> tuple[int, int]:
        """Claims jobs with about `inputs` inputs into the window; returns how many, and how many wait."""
        size = max(0, self._settings.window_bytes - self._leases.bytes)
        claim = partial(self._rounds.claim, size=size, before=before, wait=wait)
        claimed, left = await self._retry(claim, inputs, self._peers())
        leased = await self._admission.admit(claimed, self._spec)
        if self._closing.is_set():
            await self._leases.release_claimed(leased)
        return len(claimed), left
