"""The types of the requests and answers of `/v1/webhooks`, and descriptions of their fields."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from hooks.delivery import Delivery, State
from hooks.endpoints import Endpoint, Secret
from jobs.schema import Moment, from_ms
from jobs.webhook import EVENTS, Event, Url

Events = Annotated[list[Event], Meta(min_length=1, max_length=len(EVENTS))]
Description = Annotated[str, Meta(max_length=500)]


class NewWebhook(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An endpoint to be created."""

    url: Url
    events: Events | None = None
    description: Description = ""


class WebhookChange(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is to be changed of an endpoint; the rest stays."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType | None = UNSET
    description: Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookEndpoint(msgspec.Struct, kw_only=True):
    """An endpoint, which is told of the ends of its owner's jobs and batches."""

    id: str
    object: Literal["webhook"] = "webhook"
    owner: str | UnsetType = UNSET
    url: str
    events: list[Event] | None
    description: str
    enabled: bool
    reason: str | UnsetType = UNSET
    created_at: Moment
    secret: str | UnsetType = UNSET
    previous_secret_until: Moment | UnsetType = UNSET


class WebhookList(msgspec.Struct):
    """Endpoints, the oldest first."""

    webhooks: list[WebhookEndpoint]


class DeletedWebhook(msgspec.Struct):
    """The answer to the deletion of an endpoint."""

    id: str
    object: Literal["webhook"] = "webhook"
    deleted: bool = True


class WebhookSecret(msgspec.Struct):
    """What signs the webhooks of the owner's single jobs and batches."""

    secret: str
    previous_secret_until: Moment | UnsetType = UNSET


class DeliveryTry(msgspec.Struct):
    """One try of a delivery."""

    at: Moment
    ms: int
    status: int | None
    error: str | None


class WebhookDelivery(msgspec.Struct, kw_only=True):
    """An event on its way to one receiver, or that has arrived, or was given up."""

    id: str
    object: Literal["webhook.delivery"] = "webhook.delivery"
    owner: str | UnsetType = UNSET
    event: str
    type: str
    subject: str
    webhook: str | None
    url: str
    status: State
    created_at: Moment
    next_try_at: Moment | None
    sha256: str
    tries: list[DeliveryTry]


class DeliveryPage(msgspec.Struct):
    """Deliveries, the newest first. `next` is the cursor of the next page, null on the last."""

    deliveries: list[WebhookDelivery]
    next: str | None


def endpoint(found: Endpoint, *, sees: str | None, now: int = 0, secret: bool = False) -> WebhookEndpoint:
    """An endpoint as it is shown. Its secret is only shown when it is new."""
    return WebhookEndpoint(
        id=found.id,
        owner=found.owner if sees is None and found.owner else UNSET,
        url=found.url,
        events=list(found.events) or None,
        description=found.description,
        enabled=found.enabled,
        reason=found.reason or UNSET,
        created_at=from_ms(found.created),
        secret=found.secret if secret else UNSET,
        previous_secret_until=_until(found) if secret else UNSET,
    )


def secret(found: Secret) -> WebhookSecret:
    """A secret as it is shown."""
    return WebhookSecret(found.secret, _until(found))


def _until(found: Secret) -> Moment | UnsetType:
    return from_ms(found.previous_until) if found.previous else UNSET


def delivery(found: Delivery, *, sees: str | None) -> WebhookDelivery:
    """A delivery as it is shown."""
    return WebhookDelivery(
        id=found.id,
        owner=found.owner if sees is None and found.owner else UNSET,
        event=found.event,
        type=found.type,
        subject=found.subject,
        webhook=found.endpoint or None,
        url=found.url,
        status=found.state,
        created_at=from_ms(found.created),
        next_try_at=from_ms(found.next) if found.next and found.state == "pending" else None,
        sha256=found.sha256,
        tries=[DeliveryTry(from_ms(each.at), each.ms, each.status, each.error) for each in found.tries],
    )


TYPES: list[type[msgspec.Struct]] = [
    *(NewWebhook, WebhookChange, WebhookEndpoint, WebhookList, DeletedWebhook, WebhookSecret),
    *(WebhookDelivery, DeliveryPage),
]
"""All types. Their parts are described with them."""

_OF_REQUEST = {
    "url": "An `https` address that receives events as POST requests.",
    "events": "The events that are sent; null for all.",
    "description": "Any text, for people.",
}
FIELDS: dict[str, dict[str, str]] = {
    "NewWebhook": _OF_REQUEST,
    "WebhookChange": {**_OF_REQUEST, "enabled": "Whether events are sent."},
    "WebhookEndpoint": {
        **_OF_REQUEST,
        "id": "Names the endpoint: `we_` and 24 hexadecimal digits.",
        "object": "Always `webhook`.",
        "owner": "Whose jobs it is about; only for admins, and only if they have an owner.",
        "enabled": "Whether events are sent.",
        "reason": "Why the server disabled it, if it did.",
        "created_at": "When it was created.",
        "secret": "What signs its events: `whsec_` and base64. Only when it is created or rotated.",
        "previous_secret_until": "Until when the secret before the rotation signs too.",
    },
    "WebhookList": {"webhooks": "The endpoints, the oldest first."},
    "DeletedWebhook": {
        "id": "The endpoint's id.",
        "object": "Always `webhook`.",
        "deleted": "Always `true`.",
    },
    "WebhookSecret": {
        "secret": "`whsec_` and base64, for libraries of Standard Webhooks.",
        "previous_secret_until": "Until when the secret before the last rotation signs too.",
    },
    "DeliveryTry": {
        "at": "When it began.",
        "ms": "How many milliseconds it took.",
        "status": "The HTTP status of the answer; null without an answer.",
        "error": "Why the event was not delivered; null if it was.",
    },
    "WebhookDelivery": {
        "id": "Names the delivery: `dlv_` and 24 hexadecimal digits.",
        "object": "Always `webhook.delivery`.",
        "owner": "Whose it is; only for admins, and only if there is an owner.",
        "event": "The id of the event, the same for each try: `webhook-id` of the request.",
        "type": "The type of the event, such as `job.succeeded`.",
        "subject": "The id of the job, batch or endpoint that the event is about.",
        "webhook": "The id of the endpoint; null for the `webhook` of a single job or batch.",
        "url": "Where it is sent.",
        "status": "`pending` while it is tried; `delivered` after a 2xx; `undeliverable` after the last try.",
        "created_at": "When the event was taken from the queue.",
        "next_try_at": "When it is tried next; null unless it is pending.",
        "sha256": "SHA-256 of the request's body.",
        "tries": "The newest tries, the oldest first.",
    },
    "DeliveryPage": {
        "deliveries": "Deliveries, the newest first.",
        "next": "The `cursor` of the next page; null on the last page.",
    },
}
