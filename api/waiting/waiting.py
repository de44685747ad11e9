"""Waits for a job to end, without polling: until the job is terminal, the wait is over, the server stops, or
the client disconnects. The subscription to events is in `subscriber.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from prometheus_client import Counter
from starlette.requests import Request

from api.access.caller import caller_of, readmit
from api.edge.disconnects import until_disconnect
from api.waiting.single_flight import SingleFlight
from api.waiting.subscriber import Notice, Subscriber, Watch
from api.waiting.wait_limit import WaitLimit
from jobs.errors import QueueUnavailable
from jobs.ledger import ownership, views
from jobs.ledger.ledger import Ledger
from jobs.ledger.wire import Event
from jobs.schema import Job

REREAD_SECONDS = 15.0
"""Seconds without an event after which a waiting request reads its job again: a node of a cluster whose peers
are not connected to it again drops messages without a sign."""
READ_RETRY_SECONDS = 0.5
"""Seconds between attempts to read a changed job while Redis cannot be reached."""
LISTEN_AFTER = 0.05
"""Seconds after which a wait begins to check whether its client disconnects. Most waits are shorter."""
LAST_READ_SECONDS = 0.5
"""Maximum seconds of the last read of a job. If it fails, the answer is the job as last known."""

ENDINGS = {None: "deadline", Notice.RELEASED: "shutdown", Notice.DISCONNECTED: "hung_up"}
"""Metric labels for what ends a wait while the job is not terminal."""


class Waiting:
    """Waits for jobs on behalf of requests."""

    def __init__(self, ledger: Ledger, subscriber: Subscriber, waits: Counter, limit: WaitLimit) -> None:
        self._ledger = ledger
        self._limit = limit
        self._subscriber = subscriber
        self._waits = waits
        self._final_reads: SingleFlight[Job] = SingleFlight()

    async def read(self, job_id: str, seconds: float, request: Request) -> Job:
        """Returns a job that was submitted before, once it is terminal, or as it is after `seconds`.

        Raises as `Ledger.read` for the request's caller, and as `follow`.
        """
        start = self._reading(job_id, request, self._subscriber.process if seconds > 0 else "")
        return await self.follow(job_id, start, seconds, request)

    async def follow(
        self, job_id: str, start: Callable[[], Awaitable[Job]], seconds: float, request: Request
    ) -> Job:
        """Starts (submits or reads) the job and returns it once it is terminal, or as it is after `seconds`.

        `start` may return another job, if a submit found an earlier one by its idempotency key. Raises
        LimitExceeded before the start if the caller's owner has too many waits, what `start` raises, and
        Refusal if the caller is no longer admitted when the job is read again.
        """
        if seconds <= 0:
            return await start()
        with self._limit.hold(caller_of(request.scope).sender):
            return await self._follow(job_id, start, seconds, request)

    async def _follow(
        self, job_id: str, start: Callable[[], Awaitable[Job]], seconds: float, request: Request
    ) -> Job:
        watch = self._subscriber.watch(job_id, endings_only=True)
        try:
            job = await start()
            if job.status.terminal:
                return job
            if job.id == job_id:
                return await self._wait(watch, job, seconds, request)
        finally:
            self._subscriber.unwatch(job_id, watch)
        start = self._reading(job.id, request, self._subscriber.process)
        return await self._follow(job.id, start, seconds, request)

    def _reading(self, job_id: str, request: Request, watcher: str) -> Callable[[], Awaitable[Job]]:
        sees = caller_of(request.scope).sees
        return partial(self._ledger.read, job_id, sees=sees, watcher=watcher, endings_only=True)

    async def _wait(self, watch: Watch, job: Job, seconds: float, request: Request) -> Job:
        clock = asyncio.get_running_loop()
        listener = DisconnectListener(request, watch)
        timer = clock.call_later(LISTEN_AFTER, listener.listen)
        try:
            return await self._wait_until(watch, job, clock.time() + seconds, request)
        finally:
            timer.cancel()
            listener.close()

    async def _wait_until(self, watch: Watch, job: Job, deadline: float, request: Request) -> Job:
        clock = asyncio.get_running_loop()
        outcome = "terminal"
        while not job.status.terminal:
            left = max(0.0, deadline - clock.time())
            update = await watch.next(min(left, REREAD_SECONDS))
            if update is None and clock.time() < deadline:
                update = Notice.MISSED
            match update:
                case Event(record=bytes(record)):
                    sees = caller_of(request.scope).sees
                    job = ownership.shown(views.terminal(job.id, record), sees) or job
                case Event() | Notice.MISSED as update:
                    seconds = min(left, LAST_READ_SECONDS)
                    found = await self._read(job.id, seconds, request, ended=isinstance(update, Event))
                    if found is None:
                        clock.call_later(READ_RETRY_SECONDS, watch.notify, Notice.MISSED)
                    job = found or job
                case ending:
                    outcome = ENDINGS[ending]
                    if ending is not Notice.DISCONNECTED:
                        job = await self._read(job.id, LAST_READ_SECONDS, request) or job
                    break
        self._waits.labels(outcome).inc()
        return job

    async def _read(
        self, job_id: str, seconds: float, request: Request, *, ended: bool = False
    ) -> Job | None:
        """The job, or None if Redis does not answer in time. Raises Refusal as `follow`.

        With `ended` (an event without a record reported its end) the job is read once for all its waits.
        """
        watcher = "" if ended else self._subscriber.process
        try:
            async with asyncio.timeout(seconds):
                await readmit(request.scope)
                sees = caller_of(request.scope).sees
                read = partial(self._ledger.read, job_id, sees=sees, watcher=watcher, endings_only=True)
                return await (self._final_reads.join((job_id, sees), read) if ended else read())
        except (QueueUnavailable, TimeoutError):
            return None


class DisconnectListener:
    """Notifies a watch when the request's client disconnects."""

    def __init__(self, request: Request, watch: Watch) -> None:
        self._request = request
        self._watch = watch
        self._listener: asyncio.Task[None] | None = None

    def listen(self) -> None:
        self._listener = asyncio.create_task(self._until_disconnect())

    def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()

    async def _until_disconnect(self) -> None:
        await until_disconnect(self._request)
        self._watch.notify(Notice.DISCONNECTED)
