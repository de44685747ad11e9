"""Submits: accepts jobs; jobs that arrive while a script is in flight share the next one.

So a single submit never waits, and under load many jobs share one round trip.
"""

import asyncio
import hashlib
from collections import deque
from typing import Any, NamedTuple

import msgspec

from jobs.errors import QueueUnavailable
from jobs.ledger.admission import Admission, Used
from jobs.ledger.beside import Upload
from jobs.ledger.shard import Shard
from jobs.store.durability import Send

MAX_JOBS = 64
"""Most jobs in one script; Redis serves no other client while it runs."""

MAX_BYTES = 1024 * 1024
"""Bytes of payloads after which no more jobs are added to a script."""


STAMP = 9
"""Bytes that the script adds to a payload: its creation time."""


class Submission(NamedTuple):
    """One job, in the order that submit.lua declares."""

    id: str
    payload: bytes
    head_start: int
    """ms"""
    latest_start: int
    """ms from now, or 0"""
    fingerprint: str
    """Fingerprint of a request with an idempotency key; otherwise ''."""
    idempotency_key: str
    """SHA-256 digest of the key; otherwise ''."""
    watcher: str
    """API process that waits for the job's end; otherwise ''."""
    inputs: int = 1
    """Number of its inputs."""
    sender: bytes = b""
    """What `limiting.sender` returns; empty for the anonymous owner."""


class Waiting(NamedTuple):
    """A job that is to be sent."""

    submission: Submission
    answer: asyncio.Future[Any]
    upload: Upload | None
    """The media beside its payload."""

    @property
    def bytes(self) -> int:
        """What the job counts in its queue."""
        return len(self.submission.payload) + STAMP + (self.upload.bytes if self.upload else 0)


class Submits:
    """Sends the submitted jobs of one model to one shard."""

    def __init__(self, shard: Shard, send: Send, model: str, admission: Admission) -> None:
        self._shard = shard
        self._send = send
        self._model = model
        self._admission = admission
        self._waiting: deque[Waiting] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def accept(self, submission: Submission, upload: Upload | None = None) -> Any:
        """Sends the job and returns the script's answer for it. Raises QueueUnavailable.

        After a cancellation the job may or may not have been accepted.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(submission, answer, upload))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await answer

    async def _send_all(self) -> None:
        """Sends batches until no job waits."""
        try:
            while self._waiting:
                if batch := self._next():
                    behind = len(self._waiting)
                    fault = await self._send_batch(batch)
                    # jobs that waited meanwhile fail too: the delays of further tries would add up
                    for _ in range(behind if fault else 0):
                        _tell(self._waiting.popleft().answer, fault)
        finally:
            self._sending = None

    def _next(self) -> list[Waiting]:
        batch: list[Waiting] = []
        size = 0
        while self._waiting and len(batch) < MAX_JOBS and size < MAX_BYTES:
            one = self._waiting.popleft()
            if not one.answer.cancelled():  # cancelled: its caller left before the job was sent
                batch.append(one)
                size += len(one.submission.payload)
        return batch

    async def _send_batch(self, batch: list[Waiting]) -> QueueUnavailable | None:
        """Sends one script. Returns the error if the queue was unavailable."""
        each: list[Any] = []
        for submission, _, _ in batch:
            each += submission
        uploaded = {one.submission.id: one.upload for one in batch if one.upload}
        outcomes: list[Any]
        try:
            size = sum(one.bytes for one in batch)
            sent = Used(len(batch), size, sum(one.submission.inputs for one in batch))
            async with self._admission.limits(self._model, self._shard, sent) as room:
                parameters = self._shard.parameters(
                    self._send.script,
                    self._model,
                    each,
                    uploaded=msgspec.msgpack.encode(uploaded) if uploaded else b"",
                    **room.most.named("most"),
                    **room.part.named("part"),
                )
                *outcomes, jobs, held, inputs = await self._shard.call(lambda: self._send(parameters))
                self._admission.learn(self._model, self._shard, Used(jobs, held, inputs))
        except asyncio.CancelledError:  # the process is stopping
            for one in batch:
                one.answer.cancel()
            raise
        except Exception as error:
            outcomes = [error] * len(batch)
        for one, outcome in zip(batch, outcomes, strict=True):
            _tell(one.answer, outcome)
        last = outcomes[-1]
        if not isinstance(last, QueueUnavailable):
            return None
        self._shard.refused()
        return last


def digest_of(idempotency_key: str, owner: str) -> str:
    """Returns a digest of the key that no key of another owner has: UTF-8 has no byte 0xff."""
    key = idempotency_key.encode()
    return hashlib.sha256(b"\xff%b\xff%b" % (owner.encode(), key) if owner else key).hexdigest()


def _tell(answer: asyncio.Future[Any], outcome: Any) -> None:
    if answer.cancelled():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
