"""Submits: accepts jobs; those that come while a script is on its way share the next one.

So a lone submit never waits, and under load many jobs share a round trip, as many items share a forward pass.
"""

import asyncio
from collections import deque
from typing import Any, NamedTuple

from jobs.errors import QueueUnavailable
from jobs.ledger import keys
from jobs.settings import Settings
from jobs.store.durability import Send

MAX_JOBS = 64
"""Jobs in one script: Redis answers nobody else meanwhile."""

MAX_BYTES = 1024 * 1024
"""Bytes of payloads after which a script takes no more along."""


class Submission(NamedTuple):
    """One job as submit.lua takes it."""

    id: str
    payload: bytes
    head_start: int
    """ms"""
    latest_start: int
    """ms from now, or 0"""
    fingerprint: str
    """Of a request with an idempotency key, or ''."""
    idempotency_key: str
    """The Redis key that keeps it."""


class Submits:
    """The jobs of one model on their way into its queue."""

    def __init__(self, send: Send, settings: Settings, model: str) -> None:
        self._send = send
        self._keys = [
            keys.QUEUE.of(model),
            keys.DEADLINES.of(model),
            keys.BYTES.of(model),
            keys.DOORBELL.of(model),
            keys.RECENT.pattern,
        ]
        self._limits = [
            settings.max_queued_jobs,
            settings.max_queued_bytes,
            int(settings.idempotency_ttl * 1000),
            settings.recent_jobs,
        ]
        self._waiting: deque[tuple[Submission, asyncio.Future[Any]]] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def accept(self, submission: Submission) -> Any:
        """The script's answer for this job. Raises QueueUnavailable.

        Who is cancelled meanwhile does not know whether the job was accepted.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await answer

    async def _send_all(self) -> None:
        """Until none waits."""
        try:
            while self._waiting:
                if batch := self._next():
                    behind = len(self._waiting)
                    fault = await self._send_batch(batch)
                    # who waited all that time is told too: their own tries would add up
                    for _ in range(behind if fault else 0):
                        _, answer = self._waiting.popleft()
                        _tell(answer, fault)
        finally:
            self._sending = None

    def _next(self) -> list[tuple[Submission, asyncio.Future[Any]]]:
        batch: list[tuple[Submission, asyncio.Future[Any]]] = []
        size = 0
        while self._waiting and len(batch) < MAX_JOBS and size < MAX_BYTES:
            submission, answer = self._waiting.popleft()
            if not answer.cancelled():  # else its client has gone before anything was sent
                batch.append((submission, answer))
                size += len(submission.payload)
        return batch

    async def _send_batch(
        self, batch: list[tuple[Submission, asyncio.Future[Any]]]
    ) -> QueueUnavailable | None:
        """Returns what befell all of them, where the queue could not be used."""
        names: list[str] = list(self._keys)
        arguments: list[Any] = list(self._limits)
        for each, _ in batch:
            names += (keys.JOB.of(each.id), keys.RESULT.of(each.id), each.idempotency_key)
            arguments += (each.id, each.payload, each.head_start, each.latest_start, each.fingerprint)
        outcomes: list[Any]
        try:
            outcomes = await self._send(names, arguments)
        except asyncio.CancelledError:  # the process ends
            for _, answer in batch:
                answer.cancel()
            raise
        except Exception as error:
            outcomes = [error] * len(batch)
        for (_, answer), outcome in zip(batch, outcomes, strict=True):
            _tell(answer, outcome)
        last = outcomes[-1]
        return last if isinstance(last, QueueUnavailable) else None


def _tell(answer: asyncio.Future[Any], outcome: Any) -> None:
    if answer.cancelled():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
