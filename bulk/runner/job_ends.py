"""JobEnds: starts the jobs of batches and waits for their ends, by the events of Redis instead of polling."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from api.waiting.subscriber import Notice, Subscriber, Watch
from bulk.runner.lines.interface import Stop
from jobs.errors import QueueUnavailable
from jobs.ledger.ledger import Ledger
from jobs.ledger.wire import Event
from jobs.schema import Job

REREAD = 15.0
"""Seconds without an event after which a job is read again: a node of a cluster may drop messages."""
RETRY = 0.5
"""Seconds between attempts to read a job while Redis cannot be reached."""


class JobEnds:
    """Waits for jobs. The ledger's submits name `process` as the watcher."""

    def __init__(self, ledger: Ledger, subscriber: Subscriber) -> None:
        self._ledger = ledger
        self._subscriber = subscriber
        self.process = subscriber.process

    async def follow(self, job_id: str, start: Callable[[], Awaitable[Job]], owner: str, stop: Stop) -> Job:
        """Starts a job (submits it with that id and `process`) and returns it once it has ended.

        `start` may return another job, if its idempotency key was used before. After a stop the job is
        returned as it is then. Raises what `start` raises; JobGone or JobNotFound if the record is gone.
        """
        watch = self._subscriber.watch(job_id, endings_only=True)
        try:
            job = await start()
            if job.id == job_id or job.status.terminal:
                return await self._until_end(watch, job, owner, stop)
        finally:
            self._subscriber.unwatch(job_id, watch)
        return await self.follow(job.id, lambda: self._read(job.id, owner), owner, stop)

    async def _until_end(self, watch: Watch, job: Job, owner: str, stop: Stop) -> Job:
        stopped = asyncio.create_task(_notify(watch, stop))
        try:
            while not job.status.terminal and not stop:
                update = await watch.next(REREAD)
                if update is Notice.RELEASED and not stop:
                    raise asyncio.CancelledError  # the process ends; the job continues
                if isinstance(update, Event) or update in (None, Notice.MISSED):
                    try:
                        job = await self._read(job.id, owner)
                    except QueueUnavailable:
                        asyncio.get_running_loop().call_later(RETRY, watch.notify, Notice.MISSED)
            return job
        finally:
            stopped.cancel()

    async def _read(self, job_id: str, owner: str) -> Job:
        return await self._ledger.read(job_id, sees=owner, watcher=self.process, endings_only=True)


async def _notify(watch: Watch, stop: Stop) -> None:
    with suppress(asyncio.CancelledError):
        await stop.event.wait()
        watch.notify(Notice.MISSED)
