"""/v1/batches: files of requests that run as jobs of their owner, and files of their answers.

The process `python -m bulk` runs them; here they are only created, read, listed and cancelled.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.access.caller import Caller
from api.dialects.json_bodies import decoded
from api.dialects.openai.batch_descriptions import CANCEL, CREATE, LIST, RETRIEVE
from api.edge import bodies
from api.edge.cross_origin import refuse_cross_site
from api.edge.json_reply import JsonReply
from api.problems.problem import Refusal
from api.services import Asking, Services, Shared
from bulk.batches.batch import ENDPOINTS, Asked, Batch
from bulk.batches.batches import LONGEST_WINDOW
from bulk.files.file import File, Purpose
from jobs.errors import FileNotFound, InvalidRequest
from jobs.webhook import BatchWebhook

router = APIRouter(tags=["openai"])

MAX_BODY = 64 * 1024
"""Most bytes of a request. The metadata may have 16 x 576 characters."""

MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512
"""Pairs of metadata, characters of a key, characters of a value."""

PAGE, LONGEST_PAGE = 20, 100
"""Batches of one answer to a list."""

_WINDOW = re.compile(r"([1-9][0-9]{0,3})([hd])")
_SECONDS = {"h": 3600, "d": 86_400}


class ExpiresAfter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=3600, le=2_592_000)]


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None
    output_expires_after: ExpiresAfter | None = None
    webhook: BatchWebhook | None = None
    """Ours: an address that is told of the batch's end."""
    media_file_id: str | None = None
    """Ours: a zip archive with media, which lines name as `archive:NAME`."""


@router.post("/v1/batches", response_class=Response, **CREATE)
async def create_batch(request: Request, shared: Shared, caller: Asking) -> Response:
    """Runs the requests of an uploaded file. It is checked afterwards: see `status` and `errors`."""
    refuse_cross_site(request, shared.settings.cors_origins)
    body = await bodies.read(request, MAX_BODY)
    asked = await _asked(decoded(body, BatchRequest), caller, shared)
    return _reply(presented(await shared.batches.create(asked)))


@router.get("/v1/batches", response_class=Response, **LIST)
async def list_batches(request: Request, shared: Shared, caller: Asking) -> Response:
    """Returns the newest batches, or those that follow the batch `after`."""
    for name in request.query_params:
        if name not in ("after", "limit"):
            raise Refusal("invalid-request", f"query parameter {name[:60]!r} is unknown", param=name[:60])
    after = request.query_params.get("after") or None
    page, more = await shared.batches.page(_limit(request), after, sees=caller.sees)
    data = [presented(batch) for batch in page]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return _reply({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more})


@router.get("/v1/batches/{batch_id}", response_class=Response, **RETRIEVE)
async def retrieve_batch(batch_id: str, shared: Shared, caller: Asking) -> Response:
    """Returns a batch as it is now."""
    return _reply(presented(await shared.batches.retrieve(batch_id, sees=caller.sees)))


@router.post("/v1/batches/{batch_id}/cancel", response_class=Response, **CANCEL)
async def cancel_batch(request: Request, batch_id: str, shared: Shared, caller: Asking) -> Response:
    """Cancels a batch. Its status is `cancelling` until the outcomes so far are in its files."""
    refuse_cross_site(request, shared.settings.cors_origins)
    return _reply(presented(await shared.batches.cancel(batch_id, sees=caller.sees)))


def presented(batch: Batch) -> dict[str, Any]:
    """The batch as OpenAI shows it. Times are Unix seconds."""
    asked, counts = batch.asked, batch.counts
    faults = [msgspec.to_builtins(fault) for fault in batch.faults]
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": asked.endpoint,
        "model": batch.model,
        "errors": {"object": "list", "data": faults} if faults else None,
        "input_file_id": asked.input_file_id,
        "completion_window": asked.completion_window,
        "status": batch.status.value,
        "output_file_id": batch.output_file_id,
        "error_file_id": batch.error_file_id,
        "created_at": _seconds(batch.created_at),
        "in_progress_at": _seconds(batch.in_progress_at),
        "expires_at": _seconds(batch.expires_at),
        "finalizing_at": _seconds(batch.finalizing_at),
        "completed_at": _seconds(batch.completed_at),
        "failed_at": _seconds(batch.failed_at),
        "expired_at": _seconds(batch.expired_at),
        "cancelling_at": _seconds(batch.cancelling_at),
        "cancelled_at": _seconds(batch.cancelled_at),
        "request_counts": counts._asdict(),
        "metadata": asked.metadata,
        **({} if asked.media_file_id is None else {"media_file_id": asked.media_file_id}),
    }


async def _asked(request: BatchRequest, caller: Caller, shared: Services) -> Asked:
    """Checks a request. Raises InvalidRequest."""
    if request.endpoint not in ENDPOINTS:
        raise InvalidRequest(
            f"endpoint: give one of {', '.join(ENDPOINTS)}, not {request.endpoint[:60]!r}", "/endpoint"
        )
    window = _window(request.completion_window)
    _check_metadata(request.metadata or {})
    if request.webhook is not None:
        shared.hooks.check(request.webhook)
    await _checked_file("input_file_id", request.input_file_id, "batch", caller, shared)
    if request.media_file_id is not None:
        archive = await _checked_file("media_file_id", request.media_file_id, "user_data", caller, shared)
        if archive.owner != caller.owner:  # whoever sees all files may name it, but the lines may not read it
            raise InvalidRequest(
                "media_file_id: the file belongs to another owner; upload it with the key of the batch",
                "/media_file_id",
            )
    expires = request.output_expires_after
    return Asked(
        endpoint=request.endpoint,
        input_file_id=request.input_file_id,
        completion_window=request.completion_window,
        window=window,
        sender=caller.sender,
        models=caller.models,
        media_file_id=request.media_file_id,
        webhook=request.webhook,
        metadata=request.metadata,
        output_expires_after=None if expires is None else expires.seconds,
    )


async def _checked_file(field: str, file_id: str, purpose: Purpose, caller: Caller, shared: Services) -> File:
    try:
        file = await shared.files.get(file_id, sees=caller.sees)
    except FileNotFound:
        raise InvalidRequest(f"{field}: there is no file {file_id[:60]!r}", f"/{field}") from None
    if file.purpose != purpose:
        raise InvalidRequest(
            f"{field}: the file has the purpose {file.purpose!r}; upload it with the purpose {purpose!r}",
            f"/{field}",
        )
    return file


def _window(text: str) -> int:
    found = _WINDOW.fullmatch(text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST_WINDOW:
        raise InvalidRequest(
            f"completion_window: give 24h, or a time from 1h to 7d, not {text[:60]!r}", "/completion_window"
        )
    return seconds


def _check_metadata(metadata: dict[str, str]) -> None:
    if len(metadata) > MAX_PAIRS:
        raise InvalidRequest(f"metadata: give at most {MAX_PAIRS} pairs, not {len(metadata)}", "/metadata")
    for key, value in metadata.items():
        if not 0 < len(key) <= MAX_KEY:
            raise InvalidRequest(
                f"metadata: a key has 1 to {MAX_KEY} characters, not {len(key)}", "/metadata"
            )
        if len(value) > MAX_VALUE:
            raise InvalidRequest(
                f"metadata: the value of {key!r} has {len(value)} characters; the limit is {MAX_VALUE}",
                "/metadata",
            )


def _limit(request: Request) -> int:
    given = request.query_params.get("limit")
    if given is None:
        return PAGE
    if not re.fullmatch("[0-9]{1,3}", given) or not 1 <= int(given) <= LONGEST_PAGE:
        raise Refusal(
            "invalid-request", f"limit: give 1 to {LONGEST_PAGE}, not {given[:60]!r}", param="limit"
        )
    return int(given)


def _seconds(time: int | None) -> int | None:
    return None if time is None else time // 1000


def _reply(body: dict[str, Any]) -> Response:
    return JsonReply(msgspec.json.encode(body), 200, {})
