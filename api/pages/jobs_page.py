"""The page /jobs: all jobs in the listing, newest first and page by page; and the search for a job's id."""

import re
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.health.redis_timeout import redis_timeout
from api.pages.job_table import filters, model_links, state_links, url
from api.pages.rendering import page
from api.services import Asking, Services, Shared
from jobs.errors import InvalidRequest
from jobs.ledger import listing
from jobs.schema import Job

router = APIRouter(include_in_schema=False)

PAGE = 50
"""Jobs on one page."""

WHOLE = 32
"""Characters of the shortest id that can be whole, a UUID's without hyphens."""

SHORTEST = 4
"""Fewest characters that are searched for."""

MATCHES = 20
"""Most jobs that a search shows."""


@router.get("/jobs")
async def jobs_page(request: Request, shared: Shared, caller: Asking) -> Response:
    """The jobs that match `?state=STATE&model=NAME`, starting after `?after=ID`; with `?id=ID` a search."""
    query, names = request.query_params, list(shared.catalog.specs)
    if text := query.get("id", "").strip():
        return await _search(shared, text, caller.sees)
    given, after = filters(query, names), query.get("after") or None
    links = [state_links("/jobs", given), model_links("/jobs", given, names)]
    context: dict[str, Any] = {"given": given, "after": after, "links": links, "newest": url("/jobs", given)}
    try:
        async with redis_timeout():
            found, older = await shared.ledger.recent(PAGE, after, given.filter, sees=caller.sees)
    except InvalidRequest:  # the listing no longer has the job `after`, or never had it
        return page("jobs.html", 410, **context, jobs=[], older=None, searched=None, gone=True)
    searched = listing.SEARCHED if older is not None and len(found) < PAGE else None
    next_page = url("/jobs", given, after=older) if older is not None else None
    return page("jobs.html", **context, jobs=found, older=next_page, searched=searched, gone=False)


async def _search(shared: Services, text: str, sees: str | None) -> Response:
    """Leads to the job if the text is a whole id or the end of one; otherwise lists what was found."""
    end = re.split("…|\\.\\.\\.", text)[-1]  # tables show 01a2…36750e1
    if len(end) >= WHOLE:
        return RedirectResponse(f"/jobs/{quote(end, safe='')}", 303)
    found: dict[str, Job | None] = {}
    if len(end) >= SHORTEST:
        async with redis_timeout():
            found = await shared.ledger.find(end.lower(), MATCHES, sees=sees)
    if len(found) == 1:
        return RedirectResponse(f"/jobs/{next(iter(found))}", 303)
    return page(
        "found.html",
        asked=text,
        shortest=None if len(end) >= SHORTEST else SHORTEST,
        compared=shared.settings.recent_jobs,
        jobs=[job for job in found.values() if job is not None],
        gone=[job_id for job_id, job in found.items() if job is None],
    )
