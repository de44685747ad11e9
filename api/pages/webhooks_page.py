"""The page /webhooks: endpoints, and deliveries with their tries, with buttons to test and to send again."""

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.access.caller import Caller
from api.health.redis_timeout import redis_timeout
from api.pages import forms
from api.pages.rendering import page
from api.problems.problem import Refusal
from api.services import Asking, Services, Shared
from api.v1 import webhook_schemas
from jobs.errors import InvalidRequest
from jobs.owners import NAME

router = APIRouter(include_in_schema=False)

PAGE = 50
"""Deliveries on one page."""
UNDELIVERABLE = 20
"""Undeliverable ones above them."""


@router.get("/webhooks")
async def webhooks_page(request: Request, shared: Shared, caller: Asking) -> Response:
    """The caller's webhooks; for an admin those of `?owner=NAME`. Starts after the delivery `?after=ID`."""
    owner = _owner(caller, request.query_params.get("owner"))
    async with redis_timeout():
        context = await _context(shared, caller, owner, request.query_params.get("after") or None)
    return page("webhooks.html", **context)


@router.post("/webhooks/deliveries/{delivery_id}/retry")
async def retry(delivery_id: str, request: Request, shared: Shared, caller: Asking) -> Response:
    """Sends an event again: the button of a delivery."""
    await _check(request, shared)
    found = await shared.hooks.resend(delivery_id, sees=caller.sees)
    return _back(caller, found.owner)


@router.post("/webhooks/{webhook_id}/test")
async def send_test(webhook_id: str, request: Request, shared: Shared, caller: Asking) -> Response:
    """Sends a test event: the button of an endpoint."""
    await _check(request, shared)
    found = await shared.hooks.test(webhook_id, sees=caller.sees)
    return _back(caller, found.owner)


async def _check(request: Request, shared: Services) -> None:
    forms.refuse_cross_site(request)
    await forms.check(request, shared.settings.max_request_bytes)


def _back(caller: Caller, owner: str) -> Response:
    return RedirectResponse(_url(caller, owner), 303)


def _url(caller: Caller, owner: str, **more: str) -> str:
    query = more if owner == caller.owner else {"owner": owner, **more}
    return f"/webhooks?{urlencode(query)}" if query else "/webhooks"


def _owner(caller: Caller, asked: str | None) -> str:
    if not asked or asked == caller.owner:
        return caller.owner
    if caller.sees is not None or not NAME.fullmatch(asked):
        raise Refusal("not-found", "there are no webhooks of this owner, or they are not yours")
    return asked


async def _context(shared: Services, caller: Caller, owner: str, after: str | None) -> dict[str, Any]:
    """The data of the page."""
    deliveries = shared.hooks.deliveries
    given_up, more_given_up = await deliveries.page(owner, UNDELIVERABLE, undeliverable=True)
    gone = False
    try:
        found, older = await deliveries.page(owner, PAGE, after)
    except InvalidRequest:  # the list no longer has the delivery `after`
        found, older, gone = [], None, True
    endpoints = await shared.hooks.endpoints(sees=owner)
    urls = {each.id: each.url for each in endpoints}
    return {
        "owner": owner,
        "endpoints": [webhook_schemas.endpoint(each, sees=owner) for each in endpoints],
        "urls": urls,
        "undeliverable": [webhook_schemas.delivery(each, sees=owner) for each in given_up],
        "more_undeliverable": more_given_up is not None,
        "deliveries": [webhook_schemas.delivery(each, sees=owner) for each in found],
        "newest": _url(caller, owner) if after else None,
        "older": _url(caller, owner, after=older) if older else None,
        "gone": gone,
        "hosts": bool(shared.settings.hooked_hosts),
    }
