"""From an HTTP request's bytes to a job that can be run: size, media type, JSON, shape, the model's rules.

Nothing here touches Redis, so whatever is refused leaves nothing behind.
"""

import asyncio
import re
from typing import Any

import msgspec
from starlette.requests import Request

from api.problems import Refusal
from jobs.errors import InvalidRequest
from jobs.models import ModelCatalog
from jobs.schema import JobRequest, NewJob, validate_request
from jobs.wording import explained

IN_A_THREAD = 256 * 1024
"""Bytes from which on a body is decoded beside the event loop; smaller ones take less than the hand-over."""

MAX_DEPTH = 100
"""Levels of nesting; deeper JSON could be decoded, but not by everything that handles it later."""

INTEGERS = range(-(2**63), 2**64)
"""What msgpack, the queue's format, can hold."""

BODY_SECONDS = 30.0
"""Seconds in which a body must have come; a slower client holds memory that others need."""

_one_at_a_time = asyncio.Semaphore(1)

_decoder = msgspec.json.Decoder(JobRequest)


async def read_job(request: Request, catalog: ModelCatalog, max_bytes: int) -> NewJob:
    """Raises InvalidRequest, or Refusal for what is not JSON or too large."""
    _check_media_type(request)
    body = await read_body(request, max_bytes)
    if len(body) < IN_A_THREAD:
        return parse(body, catalog)
    async with _one_at_a_time:  # decoding holds the interpreter's lock: several at once would stall the loop
        return await asyncio.to_thread(parse, body, catalog)


def _check_media_type(request: Request) -> None:
    """JSON, or nothing said; a browser that says nothing may be at work for another site's page."""
    given = request.headers.get("content-type")
    if given is None and "sec-fetch-site" not in request.headers:
        return
    essence = (given or "none").partition(";")[0].strip().lower()
    if essence != "application/json" and not re.fullmatch(r"application/[\w.!#$&^-]+\+json", essence):
        raise Refusal(
            "unsupported-media-type",
            f"the content type is {essence}; send JSON with content-type: application/json",
        )
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Refusal(
            "unsupported-media-type", f"content encoding {encoding} is not understood; send it plain"
        )


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The body; refuses a large one before it has been read, by what was announced or by what came so far."""
    refusal = Refusal("payload-too-large", f"a request may have {max_bytes} bytes", max_bytes=max_bytes)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise refusal
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise refusal
    except TimeoutError:
        raise Refusal("request-timeout", f"the body did not come within {BODY_SECONDS:g} s") from None
    return bytes(body)


def parse(body: bytes, catalog: ModelCatalog) -> NewJob:
    """Raises InvalidRequest, which points at the offending part."""
    if not body:
        raise InvalidRequest("the body is empty")
    try:
        asked = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise explained(error, JobRequest, "") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise InvalidRequest(f"the body is nested more than {MAX_DEPTH} levels deep") from None
    return accept(asked, catalog)


def accept(asked: JobRequest, catalog: ModelCatalog) -> NewJob:
    """Checks a decoded request. Raises InvalidRequest."""
    check_shape(asked.inputs, "/inputs")
    check_shape(asked.parameters, "/parameters")
    spec = catalog.default if asked.model is msgspec.UNSET else catalog[asked.model]
    return validate_request(asked, spec)


def check_shape(value: Any, pointer: str) -> None:
    """Refuses JSON that the queue's format or its readers cannot take; level by level: it needs no stack."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                below.extend(part.values())
            elif isinstance(part, list):
                below.extend(part)
            elif type(part) is int and part not in INTEGERS:
                raise InvalidRequest("an integer has more than 64 bits", pointer=pointer)
        if not below:
            return
        level = below
    raise InvalidRequest(f"the JSON is nested more than {MAX_DEPTH} levels deep", pointer=pointer)


def idempotency_key(request: Request) -> str | None:
    """The `Idempotency-Key` header: 1 to 255 printable characters. Raises InvalidRequest."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 255 and key.isprintable()):
        raise InvalidRequest("Idempotency-Key: give 1 to 255 printable characters")
    return key
