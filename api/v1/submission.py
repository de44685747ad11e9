"""Parses an HTTP request to a valid job: checks size, media type, JSON, structure and the model's rules.

Nothing here uses Redis, so a refused request leaves nothing in Redis.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from starlette.requests import Request

from api.edge import bodies
from api.edge.json_shape import MAX_DEPTH, check_shape
from api.problems.problem import Refusal
from api.v1 import large_bodies
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.media.values import media_bytes
from jobs.schema import JobRequest, NewJob, check_lifetime, validate_request
from jobs.settings import Settings
from jobs.validation import explained

THREAD_BYTES = 256 * 1024
"""Bytes from which on a thread decodes a body. Decoding a smaller one takes less time than using a thread."""
LIGHT_BYTES = 16 * 1024
"""Bytes up to which a body is decoded at once, whatever its structure."""
MAX_LIGHT_STRUCTURE = 4_000
"""Brackets and commas from which on a body between these two sizes is decoded like a large one."""

_one_at_a_time = asyncio.Semaphore(1)

_decoder = msgspec.json.Decoder(JobRequest)


async def read_job(request: Request, catalog: ModelCatalog, settings: Settings) -> NewJob:
    """Reads the request's job.

    Raises InvalidRequest; Refusal if the content type is not JSON, or the body is too large or exceeds the
    free memory. The body's memory stays reserved until `bodies.release`.
    """
    _check_media_type(request)
    body = await bodies.read(request, settings.max_request_bytes)
    if _heavy(body):
        async with _one_at_a_time:  # decoding holds the GIL: several at once would block the event loop
            new = await asyncio.to_thread(parse_large, body, catalog)
        if isinstance(new.inputs, msgspec.Raw):
            bodies.share_of(request).resize(bodies.MEMORY_PER_BYTE * len(memoryview(new.inputs)))
        elif new.has_media:  # the base64 is gone; each medium is copied once more when it is sent
            bodies.share_of(request).resize(bodies.MEMORY_PER_BYTE * media_bytes(new.inputs))
    else:
        new = parse(body, catalog)
    check_lifetime(new, settings.longest_result_ttl)
    return new


def _heavy(body: bytearray) -> bool:
    if len(body) <= LIGHT_BYTES:
        return False
    return len(body) >= THREAD_BYTES or sum(map(body.count, (b"[", b"{", b","))) > MAX_LIGHT_STRUCTURE


def _check_media_type(request: Request) -> None:
    """Accepts JSON, or no content type unless a browser sends it: the page may be another site's."""
    given = request.headers.get("content-type")
    if given is None and "sec-fetch-site" not in request.headers:
        return
    essence = (given or "none").partition(";")[0].strip().lower()
    if essence != "application/json" and not re.fullmatch(r"application/[\w.!#$&^-]+\+json", essence):
        raise Refusal(
            "unsupported-media-type",
            f"the content type is {essence}; send JSON with content-type: application/json",
        )


def parse(body: bytes | bytearray, catalog: ModelCatalog) -> NewJob:
    """Decodes and checks a body. Raises InvalidRequest with a pointer to the invalid part."""
    with _readable_errors(body):
        return accept(_decoder.decode(body), catalog)


def parse_large(body: bytearray, catalog: ModelCatalog) -> NewJob:
    """As `parse`, but returns the job's inputs in the queue's format."""
    with _readable_errors(body):
        return large_bodies.parse(body, catalog)


@contextmanager
def _readable_errors(body: bytes | bytearray) -> Iterator[None]:
    """Converts the decoder's errors to InvalidRequest with a readable message."""
    if not body:
        raise InvalidRequest("the body is empty")
    try:
        yield
    except msgspec.ValidationError as error:
        raise explained(error, JobRequest, "") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise InvalidRequest(f"the body is nested more than {MAX_DEPTH} levels deep") from None


def accept(request: JobRequest, catalog: ModelCatalog) -> NewJob:
    """Checks a decoded request and returns its job. Raises InvalidRequest."""
    check_shape(request.inputs, "/inputs")
    check_shape(request.parameters, "/parameters")
    spec = catalog.default if request.model is msgspec.UNSET else catalog[request.model]
    return validate_request(request, spec)


def idempotency_key(request: Request) -> str | None:
    """The `Idempotency-Key` header: 1 to 255 printable characters. Raises InvalidRequest."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 255 and key.isprintable()):
        raise InvalidRequest("Idempotency-Key: give 1 to 255 printable characters")
    return key
