"""Vitals: what a worker counts of itself, as its heartbeat tells the roster."""

import math
import os
import socket
import time

from jobs.ids import new_id
from jobs.schema import JobState
from jobs.workers import Heartbeat
from worker.protocol import Loaded

MEMORY = 10.0
"""Seconds of computing after which a batch counts for a third of what it did in the rate."""


class Vitals:
    """The heartbeat of one BatchWorker, kept up to date."""

    def __init__(self, model: str) -> None:
        self.beat = Heartbeat(
            id=new_id(),
            model=model,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=time.time(),
            engine="loading",
        )
        self._items = self._seconds = 0.0

    def loaded(self, loaded: Loaded) -> None:
        """The engine has its model."""
        self.beat.device, self.beat.dtype = loaded.device, loaded.dtype

    def ended(self, state: JobState) -> None:
        """A job ended here."""
        self.beat.jobs[state] = self.beat.jobs.get(state, 0) + 1

    def ran(self, items: int, tokens: int, padded: int, seconds: float, starved: float) -> None:
        """A micro-batch is over."""
        beat = self.beat
        beat.items += items
        beat.batches += 1
        beat.tokens += tokens
        beat.padded_tokens += padded
        beat.compute_seconds += seconds
        beat.starved_seconds += starved
        fading = math.exp(-seconds / MEMORY)
        self._items = self._items * fading + items
        self._seconds = self._seconds * fading + seconds
        beat.items_per_second = self._items / max(self._seconds, 1e-6)
