"""Sender: moves the ends of jobs and batches from the outbox to deliveries, and sends those that are due.

1. The mover writes deliveries for what is in the outboxes.
2. The sender leases due deliveries, as many as it has connections, of each host an eighth of them at most.
3. Each is signed and sent. The answer decides: delivered, another try later, or undeliverable.
4. A host that does not answer is left alone for a while (`breakers.py`), so that it delays no other. An owner
   with many such hosts gets half of the connections at most.

Any number of processes can run one. One that is killed loses nothing: what it had leased is due again later.
"""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from typing import NamedTuple

import httpx
import structlog
from msgspec.structs import replace

from hooks import retries, signing
from hooks.breakers import OF_THE_HOST, Breakers
from hooks.deliveries import Deliveries, Leased, Room
from hooks.delivery import Delivery, Try
from hooks.endpoints import Endpoint, Secret
from hooks.known import Known
from hooks.moving import AFTER_A_BUG, Mover
from hooks.posting import Answer, Posting
from hooks.store import HookStore
from hooks.urls import Urls
from jobs.errors import HookChanged, HookNotFound, QueueUnavailable
from jobs.ledger.shards import Shards
from jobs.process import failpoints, logs
from jobs.store.connection import cancel
from jobs.store.outage import Outage

log = structlog.get_logger(__name__)

POLL_EVERY = 0.3
"""Seconds between two looks for due deliveries, unless some were moved or have ended."""
SHARE = 8
"""A host gets this part of the connections at most."""
SLOW_AFTER = 1.0
"""Seconds after which a try is slow."""
SLOW_SHARE = 2
"""An owner's slow tries get this part of the connections at most, whatever number of hosts they are for."""
GONE = 410
"""A status by which a receiver says that it wants no more events."""


class _Flight(NamedTuple):
    """A try in progress."""

    host: str
    owner: str
    began: float


class Sender:
    """Sends what is due."""

    def __init__(self, shards: Shards, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`transport` replaces the network in tests."""
        settings = shards.settings
        self.deliveries = Deliveries(shards.first)
        self._store = HookStore(shards.first)
        self._known = Known(self._store)
        self._urls = Urls(settings)
        self._posting = Posting(settings, transport)
        self._breakers = Breakers()
        self._delays = settings.retry_delays
        self._most = settings.webhook_connections
        self._of_host = max(1, self._most // SHARE)
        self._grace = settings.webhook_timeout + 1
        self._flying: dict[asyncio.Task[None], _Flight] = {}
        """The tries in progress."""
        self._wake = asyncio.Event()
        self._stopping = False
        self._mover = Mover(shards, self.deliveries, self._known, self._urls, self._wake.set)

    def stop(self) -> None:
        """Makes `run` return once the tries in progress have ended."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Moves and sends until `stop` is called. If it is cancelled, tries in progress are given up.

        Those are tried again when their leases end.
        """
        mover = asyncio.create_task(self._mover.run())
        outage = Outage(log, "deliveries cannot be read, retrying", "deliveries can be read again")
        try:
            while not self._stopping:
                self._wake.clear()
                begun = 0
                try:
                    begun = await self._begin_some()
                    outage.succeeded()
                except QueueUnavailable as error:
                    outage.failed(error)
                except Exception:  # after a bug, what it concerns is tried again when its lease ends
                    log.exception("deliveries cannot be sent")
                    await asyncio.sleep(AFTER_A_BUG)
                if not self._stopping and (not begun or len(self._flying) >= self._most):
                    with suppress(TimeoutError):
                        async with asyncio.timeout(POLL_EVERY):
                            await self._wake.wait()
            if self._flying:
                await asyncio.wait(self._flying, timeout=self._grace)
        finally:
            closing = asyncio.create_task(self._close(mover))
            while not closing.done():  # `cancel` cancels again and again
                with suppress(asyncio.CancelledError):
                    await asyncio.shield(closing)

    async def _close(self, mover: asyncio.Task[None]) -> None:
        await cancel(mover, *self._flying)
        await self._posting.aclose()

    async def _begin_some(self) -> int:
        """Leases what there is room for, and begins to send it. Returns the number of deliveries."""
        room = self._most - len(self._flying)
        if room <= 0:
            return 0
        leased = await self.deliveries.lease(room, self._of_host, self._rooms(), self._slow())
        for each in leased:
            task = asyncio.create_task(self._send(each))
            self._flying[task] = _Flight(each.delivery.host, each.delivery.owner, time.monotonic())
            task.add_done_callback(self._ended)
        return len(leased)

    def _rooms(self) -> dict[str, Room]:
        """How many more deliveries each host may get, if it is not the usual number."""
        flying: dict[str, int] = {}
        for host, *_ in self._flying.values():
            flying[host] = flying.get(host, 0) + 1
        rooms = {host: Room(max(0, self._of_host - number)) for host, number in flying.items()}
        for host, pause in self._breakers.tripped().items():
            most = 0 if pause or host in flying else 1
            rooms[host] = Room(most, fails=True, pause=pause)
        return rooms

    def _slow(self) -> list[str]:
        """The owners with so many slow tries that nothing else of theirs is sent now.

        Anybody may have any number of hosts that hang, each with a name of its own.
        """
        since = time.monotonic() - SLOW_AFTER
        slow = Counter(each.owner for each in self._flying.values() if each.began < since)
        return [owner for owner, number in slow.items() if number >= max(1, self._most // SLOW_SHARE)]

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._flying[task]
        self._wake.set()

    async def _send(self, leased: Leased) -> None:
        """Tries one delivery and notes how it ended. If that cannot be noted, it is tried again."""
        try:
            await self._try(leased.delivery, leased.is_overdue)
        except (QueueUnavailable, HookChanged, HookNotFound) as error:
            log.warning(
                "delivery cannot be settled, trying later", delivery=leased.delivery.id, error=str(error)
            )
        except Exception:
            log.exception("delivery failed", delivery=leased.delivery.id)

    async def _try(self, delivery: Delivery, is_overdue: bool) -> None:
        began, started = int(time.time() * 1000), time.monotonic()
        signer, fault = await self._signer(delivery)
        address = signer.url if isinstance(signer, Endpoint) else delivery.url
        target = self._urls.receiver(address, delivery.endpoint)
        if signer is not None and (target.url, target.host) != (delivery.url, delivery.host):
            await self.deliveries.redirect(delivery, target)  # its place may have a breaker that has tripped
            return
        url = self._urls.target(delivery.url)
        if is_overdue:
            fault = "the host did not answer for too long"
        elif url is None:
            fault = "the server's settings do not allow this address"
        if signer is None or url is None or fault:
            await self.deliveries.settle(delivery, "undeliverable", Try(at=began, ms=0, error=fault))
            return
        answer = await self._post(delivery, url, signer, began // 1000)
        failpoints.reach("after_delivery")
        tried = Try(
            at=began, ms=round(1000 * (time.monotonic() - started)), status=answer.status, error=answer.error
        )
        await self._settle(delivery, answer, tried)

    async def _post(self, delivery: Delivery, url: httpx.URL, signer: Secret, now: int) -> Answer:
        """Signs and sends. What should not happen counts as a failed try, so that tries have an end."""
        try:
            keys = signer.keys(self._known.now)
            headers = signing.headers(delivery.event, now, delivery.body, keys)
            answer = await self._posting.post(delivery.owner, url, headers, delivery.body)
        except Exception:
            log.exception("delivery failed", delivery=delivery.id)
            return Answer(None, "it could not be sent because of an error in the server")
        if answer.status is None or answer.status in OF_THE_HOST:
            self._breakers.failed(delivery.host)
        else:
            self._breakers.succeeded(delivery.host)
        return answer

    async def _settle(self, delivery: Delivery, answer: Answer, tried: Try) -> None:
        if answer.error is None:
            await self.deliveries.settle(delivery, "delivered", tried)
            if logs.debugging():
                log.debug("event delivered", delivery=delivery.id, subject=delivery.subject)
            return
        gone = answer.status == GONE
        if gone:
            tried = replace(tried, error=f"{answer.error}: it wants no more events")
            gone = not delivery.endpoint or await self._disable(delivery)
        wait = retries.wait(self._delays, delivery.round + 1, answer.retry_after)
        if wait is None or gone:
            await self.deliveries.settle(delivery, "undeliverable", tried)
            log.warning("event undeliverable", delivery=delivery.id, host=delivery.host, error=tried.error)
        else:
            await self.deliveries.settle(delivery, "failed", tried, wait)

    async def _signer(self, delivery: Delivery) -> tuple[Secret | None, str | None]:
        """Whose secret signs, or why the event is not sent."""
        if not delivery.endpoint:
            try:
                return await self._known.secret(delivery.owner), None
            except HookNotFound as error:  # trying again for ever would not help
                return None, str(error)
        endpoint = await self._known.endpoint(delivery.endpoint, delivery.url)
        if endpoint is None:
            return None, "the endpoint was deleted"
        return (endpoint, None) if endpoint.enabled else (None, "the endpoint is disabled")

    async def _disable(self, delivery: Delivery) -> bool:
        """Disables the endpoint. Returns False if its owner has given it another address meanwhile."""

        def disabled(endpoint: Endpoint, now: int) -> Endpoint:
            if endpoint.url != delivery.url:
                return endpoint
            return replace(endpoint, enabled=False, reason="its receiver answered 410 Gone")

        try:
            last = await self._store.change(delivery.endpoint, disabled)
        except HookNotFound:
            return True
        if not last.enabled:
            log.warning("endpoint disabled", endpoint=last.id, reason="410 Gone")
        return last.url == delivery.url
