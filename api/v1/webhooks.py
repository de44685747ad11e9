"""/v1/webhooks: the endpoints of an owner, secrets, and deliveries. `hooks/` does all of it."""

from typing import Annotated, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from api.access.caller import Caller
from api.edge import bodies
from api.edge.cross_origin import refuse_cross_site
from api.edge.decoding import readable_errors
from api.problems.problem import Refusal
from api.services import Asking, Services, Shared
from api.v1 import query, submission, webhook_schemas
from api.v1 import webhook_descriptions as described
from api.v1.replies import reply
from api.v1.webhook_schemas import DeletedWebhook, DeliveryPage, NewWebhook, WebhookChange, WebhookList
from jobs.errors import InvalidRequest
from jobs.owners import NAME

router = APIRouter(tags=["webhooks"], dependencies=[Depends(query.check_declared)])

MAX_BODY = 64 * 1024
"""Maximum bytes of a request."""
MAX_PAGE = 100
"""Maximum deliveries on one page."""

R = TypeVar("R", bound=msgspec.Struct)


@router.post("/v1/webhooks", **described.CREATE)
async def create_webhook(request: Request, shared: Shared, caller: Asking) -> Response:
    """Creates an endpoint. It is told of jobs that are submitted a second later, and of batches that end."""
    asked = await _read(request, shared, NewWebhook)
    chosen = tuple(dict.fromkeys(asked.events or ()))
    made = await shared.hooks.create(caller.owner, asked.url, chosen, asked.description)
    answer = webhook_schemas.endpoint(made, sees=caller.sees, secret=True)
    return reply(answer, 201, {"location": f"/v1/webhooks/{made.id}"})


@router.get("/v1/webhooks", **described.LIST)
async def list_webhooks(shared: Shared, caller: Asking) -> Response:
    """Lists the caller's endpoints, for an admin those of all owners."""
    found = await shared.hooks.endpoints(sees=caller.sees)
    return reply(WebhookList([webhook_schemas.endpoint(each, sees=caller.sees) for each in found]))


@router.get("/v1/webhooks/secret", **described.SECRET)
async def read_secret(shared: Shared, caller: Asking) -> Response:
    """Returns the secret that signs the `webhook` of the caller's single jobs and batches."""
    return reply(webhook_schemas.secret(await shared.hooks.secret(caller.owner)))


@router.post("/v1/webhooks/secret/rotate", **described.ROTATE_SECRET)
async def rotate_secret(request: Request, shared: Shared, caller: Asking) -> Response:
    """Makes a new secret. The present one signs too for 24 hours."""
    refuse_cross_site(request, shared.settings.cors_origins)
    return reply(webhook_schemas.secret(await shared.hooks.rotate_secret(caller.owner)))


@router.get("/v1/webhooks/deliveries", **described.DELIVERIES)
async def list_deliveries(
    shared: Shared,
    caller: Asking,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Maximum deliveries on the page.")] = 20,
    cursor: Annotated[str | None, Query(description="`next` of the previous page.")] = None,
    undeliverable: Annotated[bool, Query(description="Only those that were given up.")] = False,
    owner: Annotated[
        str | None,
        Query(
            description="Deliveries of this owner. Other owners than the caller: for admins only.",
            json_schema_extra={"pattern": f"^{NAME.pattern}$"},
        ),
    ] = None,
) -> Response:
    """Lists the newest deliveries, with their tries."""
    found, after = await shared.hooks.deliveries.page(
        _owner(caller, owner), limit, cursor, undeliverable=undeliverable
    )
    return reply(DeliveryPage([webhook_schemas.delivery(each, sees=caller.sees) for each in found], after))


@router.get("/v1/webhooks/deliveries/{delivery_id}", **described.DELIVERY)
async def read_delivery(delivery_id: str, shared: Shared, caller: Asking) -> Response:
    """Returns a delivery, until some time after its end (BATCHLINE_WEBHOOK_KEEP)."""
    found = await shared.hooks.deliveries.read(delivery_id, sees=caller.sees)
    return reply(webhook_schemas.delivery(found, sees=caller.sees))


@router.post("/v1/webhooks/deliveries/{delivery_id}/retry", **described.RETRY)
async def retry_delivery(delivery_id: str, request: Request, shared: Shared, caller: Asking) -> Response:
    """Sends the event again, whether it was delivered or given up, with all its tries."""
    refuse_cross_site(request, shared.settings.cors_origins)
    found = await shared.hooks.resend(delivery_id, sees=caller.sees)
    return reply(webhook_schemas.delivery(found, sees=caller.sees), 202)


@router.get("/v1/webhooks/{webhook_id}", **described.READ)
async def read_webhook(webhook_id: str, shared: Shared, caller: Asking) -> Response:
    """Returns an endpoint, without its secret."""
    found = await shared.hooks.endpoint(webhook_id, sees=caller.sees)
    return reply(webhook_schemas.endpoint(found, sees=caller.sees))


@router.post("/v1/webhooks/{webhook_id}", **described.UPDATE)
async def update_webhook(webhook_id: str, request: Request, shared: Shared, caller: Asking) -> Response:
    """Changes an endpoint: what the body does not name stays as it is."""
    asked = await _read(request, shared, WebhookChange)
    chosen = None if asked.events is msgspec.UNSET else tuple(dict.fromkeys(asked.events or ()))
    found = await shared.hooks.update(
        webhook_id,
        sees=caller.sees,
        url=None if asked.url is msgspec.UNSET else asked.url,
        chosen=chosen,
        description=None if asked.description is msgspec.UNSET else asked.description,
        enabled=None if asked.enabled is msgspec.UNSET else asked.enabled,
    )
    return reply(webhook_schemas.endpoint(found, sees=caller.sees))


@router.delete("/v1/webhooks/{webhook_id}", **described.DELETE)
async def delete_webhook(webhook_id: str, request: Request, shared: Shared, caller: Asking) -> Response:
    """Deletes an endpoint. What is on its way to it becomes undeliverable."""
    refuse_cross_site(request, shared.settings.cors_origins)
    await shared.hooks.delete(webhook_id, sees=caller.sees)
    return reply(DeletedWebhook(webhook_id))


@router.post("/v1/webhooks/{webhook_id}/test", **described.TEST)
async def test_webhook(webhook_id: str, request: Request, shared: Shared, caller: Asking) -> Response:
    """Sends an event of the type `webhook.test`, whatever the endpoint is registered for."""
    refuse_cross_site(request, shared.settings.cors_origins)
    found = await shared.hooks.test(webhook_id, sees=caller.sees)
    return reply(webhook_schemas.delivery(found, sees=caller.sees), 202)


@router.post("/v1/webhooks/{webhook_id}/secret/rotate", **described.ROTATE)
async def rotate_webhook(webhook_id: str, request: Request, shared: Shared, caller: Asking) -> Response:
    """Makes a new secret for an endpoint. The present one signs too for 24 hours."""
    refuse_cross_site(request, shared.settings.cors_origins)
    found = await shared.hooks.rotate(webhook_id, sees=caller.sees)
    return reply(webhook_schemas.endpoint(found, sees=caller.sees, secret=True))


async def _read(request: Request, shared: Services, kind: type[R]) -> R:
    """The request's body. Raises InvalidRequest; Refusal if it is not JSON."""
    if submission.content_of(request, shared.settings.cors_origins) != "json":
        raise Refusal("unsupported-media-type", "send JSON (application/json)")
    body = await bodies.read(request, min(MAX_BODY, shared.settings.max_request_bytes))
    if not body:
        raise InvalidRequest("the body is empty")
    with readable_errors(kind):
        return msgspec.json.decode(body, type=kind)


def _owner(caller: Caller, asked: str | None) -> str:
    """The owner whose deliveries are listed. Raises Refusal if the caller may not ask for this owner."""
    if asked is None:
        return caller.owner
    if not NAME.fullmatch(asked):
        raise Refusal(
            "invalid-request",
            f"query parameter 'owner': {asked[:60]!r} is not the name of an owner",
            parameter="owner",
        )
    if caller.sees not in (None, asked):
        raise Refusal("forbidden", "only an admin can read the deliveries of other owners", parameter="owner")
    return asked
