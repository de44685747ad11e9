"""Hooks: what the API does with webhooks: checks addresses, and creates, changes and tests endpoints."""

from typing import NamedTuple

from msgspec.structs import replace

from hooks import events
from hooks.allowance import Allowance
from hooks.backlog import Backlog
from hooks.deliveries import Deliveries, NewDelivery, Waiting
from hooks.delivery import Delivery
from hooks.endpoints import Endpoint, Secret, new_id, new_secret
from hooks.listeners import Listeners
from hooks.store import HookStore, Snapshot, rotated
from hooks.urls import Urls
from jobs.errors import HookNotFound, InvalidRequest
from jobs.ledger.shards import Shards
from jobs.webhook import BatchWebhook, Event, Webhook


class Figures(NamedTuple):
    """What waits, for the metrics."""

    entries: int
    """Entries of the outboxes of all shards that can be reached."""
    oldest_ms: int
    """Milliseconds for which the oldest of these has waited, or the delivery that is due for longest."""
    counts: dict[str, int]
    """As `Waiting.counts`."""


class Hooks:
    """The webhooks of one server. `sees` is the owner whose the caller may see, or None for all.

    Methods raise QueueUnavailable.
    """

    def __init__(self, shards: Shards) -> None:
        self._most = shards.settings.webhook_endpoints
        self.store = HookStore(shards.first)
        self.deliveries = Deliveries(shards.first)
        self._allowance = Allowance(shards.first)
        self.listeners = Listeners(self.store)
        self.backlog = Backlog(shards)
        self.urls = Urls(shards.settings)

    def check(self, webhook: Webhook | BatchWebhook, pointer: str = "/webhook") -> None:
        """Raises InvalidRequest if its address is not accepted."""
        self.urls.check(webhook.url, f"{pointer}/url")

    async def endpoints(self, *, sees: str | None) -> list[Endpoint]:
        """Returns the endpoints, the oldest first."""
        found = await self.store.snapshot()
        if sees is not None:
            return found.of_owner(sees)
        return sorted(found.endpoints.values(), key=lambda each: (each.created, each.id))

    async def endpoint(self, endpoint_id: str, *, sees: str | None) -> Endpoint:
        """Raises HookNotFound."""
        return _seen(await self.store.snapshot(), endpoint_id, sees)

    async def create(self, owner: str, url: str, chosen: tuple[Event, ...], description: str) -> Endpoint:
        """Creates an endpoint. Raises InvalidRequest; HookChanged."""
        self.urls.check(url, "/url")
        if len((await self.store.snapshot()).of_owner(owner)) >= self._most:
            raise InvalidRequest(
                f"an owner may have {self._most} endpoints (BATCHLINE_WEBHOOK_ENDPOINTS); delete one first"
            )
        return await self.store.create(
            Endpoint(
                id=new_id(),
                owner=owner,
                url=url.strip(),
                events=chosen,
                description=description,
                secret=new_secret(),
            )
        )

    async def update(
        self,
        endpoint_id: str,
        *,
        sees: str | None,
        url: str | None = None,
        chosen: tuple[Event, ...] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> Endpoint:
        """Changes what is not None. Raises HookNotFound; InvalidRequest; HookChanged."""
        if url is not None:
            self.urls.check(url, "/url")

        def changed(endpoint: Endpoint, now: int) -> Endpoint:
            _check_seen(endpoint, sees)
            return replace(
                endpoint,
                url=endpoint.url if url is None else url.strip(),
                events=endpoint.events if chosen is None else chosen,
                description=endpoint.description if description is None else description,
                enabled=endpoint.enabled if enabled is None else enabled,
                reason=endpoint.reason if enabled is None else "",
            )

        return await self.store.change(endpoint_id, changed)

    async def delete(self, endpoint_id: str, *, sees: str | None) -> None:
        """Deletes an endpoint: what is still on its way to it becomes undeliverable. Raises HookNotFound."""

        def deleted(endpoint: Endpoint, now: int) -> None:
            _check_seen(endpoint, sees)

        await self.store.change(endpoint_id, deleted)

    async def rotate(self, endpoint_id: str, *, sees: str | None) -> Endpoint:
        """Gives an endpoint a new secret; the present one signs too for a day. Raises HookNotFound."""

        def changed(endpoint: Endpoint, now: int) -> Endpoint:
            _check_seen(endpoint, sees)
            return rotated(endpoint, now)

        return await self.store.change(endpoint_id, changed)

    async def secret(self, owner: str) -> Secret:
        """Returns what signs the webhooks of the owner's single jobs and batches."""
        return await self.store.secret(owner)

    async def rotate_secret(self, owner: str) -> Secret:
        """Gives the owner a new secret; the present one signs too for a day."""
        return await self.store.rotate(owner)

    async def test(self, endpoint_id: str, *, sees: str | None) -> Delivery:
        """Puts a test event for an endpoint on its way.

        Raises HookNotFound; InvalidRequest; LimitExceeded.
        """
        found = await self.store.snapshot()
        endpoint = _seen(found, endpoint_id, sees)
        if not endpoint.enabled:
            raise InvalidRequest("the endpoint is disabled; enable it first")
        self.urls.check(endpoint.url, "/url")
        await self._allowance.take(endpoint.owner)
        target = self.urls.receiver(endpoint.url, endpoint.id)
        new = NewDelivery(endpoint.owner, events.of_test(endpoint.id, found.now), target)
        await self.deliveries.put([new])
        return await self.deliveries.read(new.id, sees=None)

    async def resend(self, delivery_id: str, *, sees: str | None) -> Delivery:
        """Makes a delivery due now, with all its tries, at its endpoint's present address.

        Raises HookNotFound; LimitExceeded.
        """
        found = await self.deliveries.read(delivery_id, sees=sees)
        await self._allowance.take(found.owner)
        endpoint = (await self.store.snapshot()).endpoints.get(found.endpoint)
        url = found.url if endpoint is None else endpoint.url
        return await self.deliveries.resend(found, self.urls.receiver(url, found.endpoint))

    async def figures(self) -> Figures:
        """Returns what waits to be delivered."""
        waiting: Waiting = await self.deliveries.waiting()
        entries, oldest_ms = await self.backlog.read()
        return Figures(entries, max(waiting.oldest_ms, oldest_ms), waiting.counts)


def _seen(found: Snapshot, endpoint_id: str, sees: str | None) -> Endpoint:
    endpoint = found.endpoints.get(endpoint_id)
    if endpoint is None:
        raise HookNotFound("no endpoint has this id")
    _check_seen(endpoint, sees)
    return endpoint


def _check_seen(endpoint: Endpoint, sees: str | None) -> None:
    if sees not in (None, endpoint.owner):
        raise HookNotFound("no endpoint has this id")
