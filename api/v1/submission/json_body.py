"""A JSON body: checks its structure, decodes it, and describes its errors."""

import msgspec
from starlette.requests import Request

from api.edge import bodies
from api.edge.decoding import in_thread, is_heavy, readable_errors
from api.v1.submission import acceptance, large_json
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.media.values import media_bytes
from jobs.schema import JobRequest, NewJob
from jobs.settings import Settings

_decoder = msgspec.json.Decoder(JobRequest)


async def read(request: Request, catalog: ModelCatalog, settings: Settings) -> NewJob:
    """Reads the request's job. Raises as `submission.read_job`."""
    body = await bodies.read(request, settings.max_request_bytes, bodies.MAX_REQUEST_BYTES)
    if not is_heavy(body):
        return parse(body, catalog)
    new = await in_thread(parse_large, body, catalog)
    if isinstance(new.inputs, msgspec.Raw):
        bodies.share_of(request).resize(bodies.MEMORY_PER_BYTE * len(memoryview(new.inputs)))
    elif new.has_media:  # the base64 is gone; each medium is copied once more when it is sent
        bodies.share_of(request).resize(bodies.MEMORY_PER_BYTE * media_bytes(new.inputs))
    return new


def parse(body: bytes | bytearray, catalog: ModelCatalog) -> NewJob:
    """Decodes and checks a body. Raises InvalidRequest with a pointer to the invalid part."""
    _check_not_empty(body)
    with readable_errors(JobRequest):
        return acceptance.accept(_decoder.decode(body), catalog)


def parse_large(body: bytearray, catalog: ModelCatalog) -> NewJob:
    """As `parse`, but returns the job's inputs in the queue's format."""
    _check_not_empty(body)
    with readable_errors(JobRequest):
        return large_json.parse(body, catalog)


def _check_not_empty(body: bytes | bytearray) -> None:
    if not body:
        raise InvalidRequest("the body is empty")
