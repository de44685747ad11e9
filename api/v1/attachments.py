"""`/v1/jobs/{job_id}/files` and `/inputs`: the files of a job's outputs and the media of its inputs.

Anybody may have made their content. So each is answered with the content type of its format, never another
one, and a browser that shows it by itself runs nothing in it.
"""

import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.edge import ranges
from api.edge.middleware import is_head
from api.problems.problem import Refusal
from api.services import Asking, Services, Shared
from api.v1 import query
from api.v1.attachment_descriptions import FILE, INPUT
from jobs.ledger.attachments import Attachment
from jobs.media import files
from jobs.media.formats import recognise

router = APIRouter(tags=["jobs"], dependencies=[Depends(query.check_declared)])

POLICY = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox allow-same-origin"
"""Allows what a browser's own viewer needs for a picture, sound or video that is opened by itself: it makes a
page around it, with inline style, and reads a sound as a request of its own. No scripts and no forms."""

HEADERS = {
    "accept-ranges": "bytes",
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "cross-origin-resource-policy": "same-origin",
}

OTHER = "application/octet-stream"
"""The content type of what browsers only save."""


@router.get("/v1/jobs/{job_id}/files/{name}", response_class=Response, **FILE)
async def read_file(
    job_id: str,
    name: Annotated[str, Path(description="The file's name: the last part of the `url` in the output.")],
    request: Request,
    shared: Shared,
    caller: Asking,
) -> Response:
    """Returns a file of one of the job's outputs, as long as the job's results can be read."""
    found = await shared.ledger.attachments.file(job_id, name, sees=caller.sees)
    if found and (
        reply := await _reply(request, shared, found, files.content_type(name), f"{job_id}-{name}")
    ):
        return reply
    raise Refusal("not-found", f"job {job_id} has no file {name[:60]!r}")


@router.get("/v1/jobs/{job_id}/inputs/{place:path}", response_class=Response, **INPUT)
async def read_input(
    job_id: str,
    place: Annotated[
        str,
        Path(
            description="The input's index, from 0. If it is a record: also the name of its medium, as in"
            " `0/image`, and within a list that medium's index, as in `0/images/2`."
        ),
    ],
    request: Request,
    shared: Shared,
    caller: Asking,
) -> Response:
    """Returns an image, a sound or a video of the job's inputs while they are kept.

    That is until the job ends, or with `keep_inputs` as long as its results.
    """
    found = await shared.ledger.attachments.medium(job_id, place.split("/"), sees=caller.sees)
    if found:
        known = recognise(found.start)
        name = f"{job_id}-input-{place.replace('/', '-')}.{known.extension if known else 'bin'}"
        if reply := await _reply(request, shared, found, known.content_type if known else OTHER, name):
            return reply
    raise Refusal("not-found", f"job {job_id} has no medium at {place[:60]!r}, or its inputs are not kept")


async def _reply(
    request: Request, shared: Services, found: Attachment, content_type: str, name: str
) -> Response | None:
    """The content, or the requested part of it; None if it is gone by now. HEAD reads nothing of it."""
    part = ranges.requested(request, found.size)
    start, end = part or (0, found.size)
    how = "attachment" if content_type == OTHER else "inline"
    safe = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)  # a stock client's id may be any text
    headers = {
        **HEADERS,
        "content-length": str(end - start),
        "content-disposition": f'{how}; filename="{safe}"',
    }
    if part:
        headers["content-range"] = f"bytes {start}-{end - 1}/{found.size}"
    status = 206 if part else 200
    if is_head(request):
        return Response(None, status, headers, content_type)
    held = await shared.large.attachment(found, start, end)
    if held is None:
        return None

    async def body() -> AsyncIterator[bytes]:
        async for piece in held.pieces():
            yield piece

    return StreamingResponse(body(), status, headers, content_type)
