"""The pages /batches: all batches, newest first; and /batches/ID: one of them, with failed lines and files.

`/fragments/batches` and `/fragments/batches/ID` are the parts that change. Pages fetch them each second.
"""

import time
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.access.permissions import allows
from api.health.redis_timeout import redis_timeout
from api.pages import forms
from api.pages.batch_figures import FailedLine, failed_lines, figures
from api.pages.output_rows import shortened
from api.pages.rendering import page
from api.problems.exceptions import problem_of
from api.services import Asking, Services, Shared
from bulk.batches.batch import Batch
from jobs.errors import (
    BatchNotFound,
    FileNotFound,
    InvalidRequest,
    ObjectTruncated,
    QueueUnavailable,
    StorageUnavailable,
)

router = APIRouter(include_in_schema=False)

PAGE = 20
"""Batches on one page."""


@router.get("/batches")
async def batches_page(request: Request, shared: Shared, caller: Asking) -> Response:
    """The batches, starting after `?after=ID`."""
    after = request.query_params.get("after") or None
    try:
        return page("batches.html", **await _listed(shared, after, caller.sees))
    except InvalidRequest:
        return page("batches.html", 410, **_empty(after) | {"gone": True})
    except QueueUnavailable:
        return page("batches.html", 503, **_empty(after) | {"away": True})


@router.get("/fragments/batches")
async def batches_fragment(request: Request, shared: Shared, caller: Asking) -> Response:
    after = request.query_params.get("after") or None
    try:
        return page("fragments/batches.html", **await _listed(shared, after, caller.sees))
    except (InvalidRequest, QueueUnavailable):
        return Response(status_code=204)  # the page keeps what it shows, and how old that is


@router.get("/batches/{batch_id}")
async def batch_page(batch_id: str, shared: Shared, caller: Asking) -> Response:
    return await _shown(shared, batch_id, "batch.html", caller.sees)


@router.get("/fragments/batches/{batch_id}")
async def batch_fragment(batch_id: str, shared: Shared, caller: Asking) -> Response:
    return await _shown(shared, batch_id, "fragments/batch.html", caller.sees)


@router.post("/batches/{batch_id}/cancel")
async def cancel(batch_id: str, request: Request, shared: Shared, caller: Asking) -> Response:
    """Cancels the batch: the cancel button, with and without JavaScript."""
    forms.refuse_cross_site(request)
    await forms.check(request, shared.settings.max_request_bytes)
    with suppress(InvalidRequest):  # it has ended meanwhile, which the page shows
        await shared.batches.cancel(batch_id, sees=caller.sees)
    if forms.by_htmx(request) and allows(caller, "read"):
        return await _shown(shared, batch_id, "fragments/batch.html", caller.sees)
    return RedirectResponse(f"/batches/{quote(batch_id, safe='')}", 303)


async def _shown(shared: Services, batch_id: str, template: str, sees: str | None) -> Response:
    """A batch as a page or a fragment, or a page with the reason if it cannot be shown."""
    try:
        async with redis_timeout():
            batch = await shared.batches.retrieve(batch_id, sees=sees)
    except (BatchNotFound, QueueUnavailable) as error:
        problem = problem_of(error)
        retry = f"/fragments/batches/{quote(batch_id)}" if isinstance(error, QueueUnavailable) else None
        text = {"title": problem.title, "detail": problem.detail, "job_id": shortened(batch_id)}
        missing = "missing.html" if template == "batch.html" else "fragments/missing.html"
        return page(missing, problem.status, retry=retry, **text)
    failed, unread = await _failed(shared, batch)
    return page(template, one=figures(batch, _now()), failed=failed, unread=unread)


async def _failed(shared: Services, batch: Batch) -> tuple[list[FailedLine], str]:
    """The first failed lines; or why they cannot be read."""
    if batch.error_file_id is None:
        return [], ""
    try:
        async with redis_timeout():
            file = await shared.files.get(
                batch.error_file_id, sees=None
            )  # that of a batch the caller may see
        return list(await failed_lines(shared.files.content(file))), ""
    except FileNotFound:
        return [], "The error file was deleted."
    except (ObjectTruncated, QueueUnavailable, StorageUnavailable):
        return [], "The error file cannot be read now."


async def _listed(shared: Services, after: str | None, sees: str | None) -> dict[str, Any]:
    async with redis_timeout():
        found, more = await shared.batches.page(PAGE, after, sees=sees)
    now = _now()
    older = f"/batches?{urlencode({'after': found[-1].id})}" if more else None
    return _empty(after) | {"batches": [figures(batch, now) for batch in found], "older": older}


def _empty(after: str | None) -> dict[str, Any]:
    refresh = "/fragments/batches" + (f"?{urlencode({'after': after})}" if after else "")
    return {"after": after, "batches": [], "older": None, "refresh": refresh, "gone": False, "away": False}


def _now() -> int:
    return int(time.time() * 1000)
