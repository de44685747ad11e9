"""/v1/files: uploads for batches, their results, and what else batches read."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.dialects.openai.file_descriptions import CONTENT, CREATE, DELETE, LIST, RETRIEVE
from api.dialects.openai.upload_form import OVERHEAD, UploadForm
from api.edge import ranges, streamed_bodies
from api.edge.cross_origin import refuse_cross_site
from api.edge.json_reply import JsonReply
from api.edge.memory_budget import CutOff
from api.edge.middleware import is_head
from api.services import Asking, Shared
from bulk.files.file import PURPOSES, File
from jobs.errors import (
    FileNotFound,
    InvalidRequest,
    ObjectTruncated,
    QueueUnavailable,
    StorageUnavailable,
)

router = APIRouter(tags=["openai"])

MAX_FILE_BYTES = "BATCHLINE_MAX_FILE_BYTES"


@router.post("/v1/files", response_class=Response, **CREATE)
async def create_file(request: Request, shared: Shared, caller: Asking) -> Response:
    """Uploads a file. Its bytes are stored while they arrive; nothing is left of an upload that fails."""
    refuse_cross_site(request, shared.settings.cors_origins)
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise InvalidRequest("the content type must be multipart/form-data, with a part named file")
    form, most = UploadForm(content_type), shared.settings.max_file_bytes
    body = streamed_bodies.pieces(
        request,
        memory=shared.files.memory,
        max_bytes=most + OVERHEAD,
        detail=f"the file is larger than {most} bytes ({MAX_FILE_BYTES})",
    )
    size = min(most, streamed_bodies.announced(request))
    file = await shared.files.receive(
        caller.owner, form.file_of(body), lambda: form.described(caller.owner), announced=size
    )
    return _json(_shown(file))


@router.get("/v1/files", response_class=Response, **LIST)
async def list_files(
    shared: Shared,
    caller: Asking,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
    purpose: str | None = None,
    after: str | None = None,
) -> Response:
    """Returns the files, the newest first."""
    if purpose is not None and purpose not in PURPOSES:
        raise InvalidRequest(
            f"purpose: {purpose[:60]!r} is not one of {', '.join(PURPOSES)}", pointer="/purpose"
        )
    page = await shared.files.page(limit, after=after, order=order, purpose=purpose, sees=caller.sees)
    files = [_shown(file) for file in page.files]
    return _json(
        {
            "object": "list",
            "data": files,
            "first_id": files[0]["id"] if files else None,
            "last_id": files[-1]["id"] if files else None,
            "has_more": page.has_more,
        }
    )


@router.get("/v1/files/{file_id}", response_class=Response, **RETRIEVE)
async def retrieve_file(file_id: str, shared: Shared, caller: Asking) -> Response:
    """Returns what is known of a file."""
    return _json(_shown(await shared.files.get(file_id, sees=caller.sees)))


@router.delete("/v1/files/{file_id}", response_class=Response, **DELETE)
async def delete_file(file_id: str, shared: Shared, caller: Asking) -> Response:
    """Deletes a file. A batch that has not ended and still reads it fails."""
    file = await shared.files.delete(file_id, sees=caller.sees)
    return _json({"id": file.id, "object": "file", "deleted": True})


@router.get("/v1/files/{file_id}/content", response_class=Response, **CONTENT)
async def read_file_content(file_id: str, request: Request, shared: Shared, caller: Asking) -> Response:
    """Returns the bytes of a file, or a range of them."""
    file = await shared.files.get(file_id, sees=caller.sees)
    part = ranges.requested(request, file.bytes)
    start, end = part or (0, file.bytes)
    headers = {
        "accept-ranges": "bytes",
        "cache-control": "no-store",
        "content-disposition": _disposition(file.filename),
        "content-length": str(end - start),
        "content-security-policy": "default-src 'none'; sandbox",
    }
    if part:
        headers["content-range"] = f"bytes {start}-{end - 1}/{file.bytes}"
    status, kind = (206 if part else 200), "application/octet-stream"
    if is_head(request) or start == end:
        return Response(None, status, headers, kind)
    pieces = shared.files.content(file, start, end)
    first = [await anext(pieces)]  # an error until here has a status

    async def body() -> AsyncIterator[bytes]:
        yield first.pop()
        try:
            async for piece in pieces:
                yield piece
        except (FileNotFound, ObjectTruncated, QueueUnavailable, StorageUnavailable):
            raise CutOff from None

    return StreamingResponse(body(), status, headers, kind)


def _shown(file: File) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": file.created // 1000,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }
    return shown if file.expires is None else {**shown, "expires_at": file.expires // 1000}


def _json(content: Any) -> Response:
    return JsonReply(msgspec.json.encode(content), 200, {})


def _disposition(filename: str) -> str:
    """The header that makes a browser save the content (RFC 6266), safe for any name."""
    plain = "".join(
        each if each.isascii() and (each.isalnum() or each in "._- ") else "_" for each in filename
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
