"""WorkerStatistics: the figures of a worker for its heartbeat in the roster."""

import math
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from jobs.monitoring.failures import MAX_REASONS, note
from jobs.monitoring.histograms import BATCH_ITEMS, LATENCIES, PADDING, count, empty
from jobs.monitoring.roster import Heartbeat
from jobs.schema import JobState
from worker.engine.protocol import NO_BUDGET, Failure, Loaded

RATE_MEMORY = 10.0
"""After this many seconds of computing, a batch has a third of its initial weight in the rate."""


ROUNDING = 1e-6
"""Parts of a batch may add up to a little less than one."""


class Times(NamedTuple):
    """Times of an ended job in seconds; None for a stage that it did not reach."""

    queued: float | None
    compute: float | None
    total: float


class WorkerStatistics:
    """Keeps the heartbeat of one BatchWorker up to date."""

    def __init__(self, model: str) -> None:
        host, pid = socket.gethostname(), os.getpid()
        self.beat = Heartbeat(
            id=f"{host}:{pid}:{secrets.token_hex(2)}",
            model=model,
            host=host,
            pid=pid,
            started=time.time(),
            engine="loading",
            queued=empty(LATENCIES),
            compute=empty(LATENCIES),
            total=empty(LATENCIES),
            batch_items=empty(BATCH_ITEMS),
            batch_padding=empty(PADDING),
        )
        self._items = self._seconds = 0.0
        self._batches = 0.0

    def loaded(self, loaded: Loaded) -> None:
        """Records that the engine has loaded its model."""
        beat = self.beat
        beat.engine_fault, beat.engine_retry = "", 0.0
        beat.device, beat.dtype, beat.threads = loaded.device, loaded.dtype, loaded.threads
        beat.backend = loaded.backend
        beat.defaults = loaded.defaults
        beat.budget = loaded.cost.budget if loaded.cost.budget < NO_BUDGET else 0

    def retired(self, why: str, retry: float) -> None:
        """Records that the model is retired; `retry` is the Unix time of the next load."""
        self.beat.engine_fault, self.beat.engine_retry = why, retry

    def ended(self, state: JobState, times: Times) -> None:
        """Counts a job that ended here."""
        beat = self.beat
        beat.jobs[state] = beat.jobs.get(state, 0) + 1
        count(beat.total, LATENCIES, times.total)
        beat.total_sum += times.total
        if times.queued is not None:
            count(beat.queued, LATENCIES, times.queued)
            beat.queued_sum += times.queued
        if times.compute is not None:
            count(beat.compute, LATENCIES, times.compute)
            beat.compute_sum += times.compute

    def answered(self, job: str, inputs: int, failures: Sequence[Failure], at: float) -> None:
        """Counts a job that ended with an outcome for each of its inputs; `at` in Unix seconds."""
        beat = self.beat
        beat.inputs += inputs
        if failures:
            for kind, failed in Counter(failure.kind for failure in failures).items():
                beat.inputs_failed[kind] = beat.inputs_failed.get(kind, 0) + failed
            reasons = Counter((failure.kind, failure.detail) for failure in failures)
            for (kind, detail), failed in reasons.most_common(MAX_REASONS):
                note(beat.failures, kind, detail, failed, job, at)

    def ran(
        self, items: int, tokens: int, padded: int, seconds: float, starved: float, batches: float = 1.0
    ) -> None:
        """Counts a finished micro-batch; `padded` is 0 if its tokens were not counted.

        With continuous batching `items` is 1, and it is a part of a batch: one of the rows of its steps. A
        batch counts when its last part does, so that items / batches is the mean number of rows.
        """
        beat = self.beat
        beat.items += items
        before, self._batches = beat.batches, self._batches + batches
        beat.batches = int(self._batches + ROUNDING)
        beat.tokens += tokens
        beat.padded_tokens += padded
        beat.compute_seconds += seconds
        beat.starved_seconds += starved
        if beat.batches > before:
            count(beat.batch_items, BATCH_ITEMS, items / batches)
        if padded:
            padding = max(0.0, 1 - tokens / padded)
            count(beat.batch_padding, PADDING, padding)
            beat.batch_padding_sum += padding
        decay = math.exp(-seconds / RATE_MEMORY)
        self._items = self._items * decay + items
        self._seconds = self._seconds * decay + seconds
        beat.items_per_second = self._items / max(self._seconds, 1e-6)
