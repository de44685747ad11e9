"""The pages /owners, for admins: all owners; and /usage: the caller's own figures and keys."""

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.health.redis_timeout import redis_timeout
from api.pages.owner_figures import DAYS, RECENT, figures, first_hour, key_row, recent
from api.pages.rendering import page
from api.problems.problem import Refusal
from api.services import Asking, Services, Shared
from jobs.access.key_store import KeyStore
from jobs.owners import NAME

router = APIRouter(include_in_schema=False)

SHOWN = 50
"""Most owners on the page: those with the newest endings, then others with keys."""


@router.get("/owners")
async def owners_page(request: Request, shared: Shared, caller: Asking) -> Response:
    """All owners; with `?owner=NAME` one of them, with its models."""
    if caller.sees is not None:
        raise Refusal("forbidden", "only an admin can see the owners")
    only = request.query_params.get("owner") or None
    if only is not None and not NAME.fullmatch(only):
        raise Refusal("not-found", f"{only[:60]!r} is not the name of an owner")
    async with redis_timeout():
        context = await _context(shared, only)
    return page("owners.html", **context, here="owners", only=only)


@router.get("/usage")
async def usage_page(request: Request, shared: Shared, caller: Asking) -> Response:
    """The caller's own figures. An admin who names another owner is led to that owner's."""
    if caller.sees is None and (owner := request.query_params.get("owner")):
        return RedirectResponse(f"/owners?{urlencode({'owner': owner})}", 303)
    async with redis_timeout():
        context = await _context(shared, caller.owner)
    return page("owners.html", **context, here="usage", only=caller.owner)


async def _context(shared: Services, only: str | None) -> dict[str, Any]:
    """The data of the page, of all owners or of one; of nobody for ""."""
    usage, store = shared.usage, KeyStore(shared.ledger.shards.first)
    snapshot, uses, now = await store.snapshot(), await store.uses(), await usage.hour()
    keys = sorted(snapshot.keys, key=lambda key: (key.owner, key.revoked is not None, key.created, key.id))
    newest = await usage.newest(SHOWN)
    every = dict.fromkeys((*newest, *(key.owner for key in keys)))
    known = list(every) if only is None else [only] if only else []
    shown = known[:SHOWN]
    found = await usage.read(shown, first_hour(now), now + 1) if shown else {}
    # the part is one of all owners, also where only one is shown
    others = [owner for owner in newest if owner not in shown]
    everything = recent(found, now)
    if others:
        everything += recent(await usage.read(others, now - RECENT + 1, now + 1), now)
    waiting = await usage.waiting(shown) if shown else {}
    return {
        "owners": figures(sorted(shown), found, waiting, keys, now, everything),
        "keys": [key_row(key, uses.get(key.id), snapshot.now) for key in keys if only in (None, key.owner)],
        "more": len(known) - len(shown),
        "days": DAYS,
        "recent": RECENT,
    }
