"""One Redis subscription per process. It passes each event to the requests that watch the event's job.

A process has a channel of its own. It gets the end of each job that it submitted as the `watcher`, and all
changes of each job that it read as the `watcher` (`Ledger`).

Events are lost while the subscription is interrupted. So after each new subscription, every watcher receives
MISSED and reads its job again. `api/waiting/waiting.py` and `api/waiting/following.py` process the events.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import NoReturn

import msgspec
import structlog
from arq.connections import ArqRedis
from prometheus_client import Gauge
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.ledger import keys
from jobs.ledger.wire import Event, decode_events
from jobs.process.backoff import Backoff
from jobs.schema import JobState
from jobs.store.outage import Outage

log = structlog.get_logger(__name__)

PING_EVERY = 2.0
"""Seconds without a message after which the subscription's connection is checked with a ping."""
SILENCE = 5.0
"""Seconds without a message, despite a ping, after which the connection counts as dead. A busy machine may
stall for a second."""
MAX_QUEUED = 64
"""Maximum queued events of one watcher. An event stream whose client reads nothing must not queue more."""


class Notice(Enum):
    """What a watcher receives besides events."""

    MISSED = "events may have been missed: read the job again"
    RELEASED = "the server is stopping: answer with the last known state"
    DISCONNECTED = "the client disconnected: no answer is needed"


Update = Event | Notice

TERMINAL = frozenset(state.value for state in JobState if state.terminal)


class Watch:
    """A queue of one job's events and notices since the watch began, for one request."""

    def __init__(self, *, endings_only: bool = False) -> None:
        self._endings_only = endings_only
        self._queue: deque[Update] = deque()
        self._ended = False
        self._reader: asyncio.Future[None] | None = None

    def notify(self, update: Update) -> None:
        """Queues an event or notice, but none after one that ends the watch. A full queue becomes MISSED."""
        if self._ended or (self._endings_only and isinstance(update, Event) and update.state not in TERMINAL):
            return
        self._ended = update in (Notice.RELEASED, Notice.DISCONNECTED)
        if len(self._queue) >= MAX_QUEUED and not self._ended:
            self._queue.clear()
            update = Notice.MISSED
        self._queue.append(update)
        self._wake()

    async def next(self, seconds: float) -> Update | None:
        """The next event or notice, or None after that many seconds without one."""
        if not self._queue:
            clock = asyncio.get_running_loop()
            self._reader = clock.create_future()
            timer = clock.call_later(seconds, self._wake)
            try:
                await self._reader
            finally:
                timer.cancel()
                self._reader = None
        return self._queue.popleft() if self._queue else None

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class Subscriber:
    """Subscribes to the events of watched jobs, passes them to watchers, and ends all watches at shutdown."""

    def __init__(self, redis: ArqRedis, watching: Gauge) -> None:
        self._redis = redis
        self.process = secrets.token_hex(8)
        """The name of this process's channel."""
        self._watching = watching
        self._watches: dict[str, set[Watch]] = {}
        self._released = False

    @contextmanager
    def watching(self, job_id: str) -> Iterator[Watch]:
        """A watch of every change, in a `with` block."""
        watch = self.watch(job_id)
        try:
            yield watch
        finally:
            self.unwatch(job_id, watch)

    def watch(self, job_id: str, *, endings_only: bool = False) -> Watch:
        """Registers a watcher. Call it BEFORE the job is submitted or read, so that no event is missed."""
        watch = Watch(endings_only=endings_only)
        if self._released:
            watch.notify(Notice.RELEASED)
        self._watches.setdefault(job_id, set()).add(watch)
        self._watching.inc()
        return watch

    def unwatch(self, job_id: str, watch: Watch) -> None:
        """Removes a watcher."""
        self._watching.dec()
        watches = self._watches[job_id]
        watches.discard(watch)
        if not watches:
            del self._watches[job_id]

    def reread_all(self) -> None:
        """Makes every wait and every event stream read its job again, and first resolve its caller again.

        Call it when callers may have lost their rights: their waits end then.
        """
        self._notify_all(Notice.MISSED)

    def release_all(self) -> None:
        """Ends every wait and every event stream, and all later ones when they begin."""
        self._released = True
        self._notify_all(Notice.RELEASED)

    async def run(self) -> NoReturn:
        """Keeps the subscription running, and reconnects after errors. Never returns."""
        backoff = Backoff(0.05, 1.0)
        outage = Outage(log, "subscription lost", "subscription restored")
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(keys.EVENTS, f"{keys.EVENTS}:{self.process}")
                    while await self._receive(pubsub):
                        outage.succeeded()
                        backoff.recovered()
            except (RedisError, OSError) as error:
                outage.failed(error)
            except Exception:  # after a bug, later waits must still receive events
                log.exception("subscription failed")
            backoff.failed()
            await asyncio.sleep(backoff.pause)

    async def _receive(self, pubsub: PubSub) -> bool:
        """Processes one message and returns True. Raises if the connection is closed or does not respond."""
        message = await pubsub.get_message(timeout=PING_EVERY)
        if message is None:
            await pubsub.ping()
            message = await pubsub.get_message(timeout=SILENCE - PING_EVERY)
            if message is None:
                raise RedisTimeoutError("the subscription's connection does not respond")
        if message["type"] == "subscribe":  # at the start, and after each reconnect by redis-py
            self._notify_all(Notice.MISSED)
        elif message["type"] == "message":
            self._deliver(message["data"])
        return True

    def _deliver(self, data: bytes) -> None:
        try:
            events = decode_events(data)
        except msgspec.MsgspecError:
            log.warning("invalid event", bytes=len(data))
            self._notify_all(Notice.MISSED)
            return
        for event in events:
            for watch in self._watches.get(event.id, ()):
                watch.notify(event)

    def _notify_all(self, notice: Notice) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.notify(notice)
