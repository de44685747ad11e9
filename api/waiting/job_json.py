"""A job's JSON around its results: large ones are sent in pieces between the bytes before and after them."""

from collections.abc import AsyncIterator

import msgspec
from msgspec.structs import replace

from api.waiting.large_results import Held
from jobs.schema import Job

_encode = msgspec.json.Encoder().encode

NO_RESULTS = b'"results":null'
"""Where a job's results go in its JSON; within a string its quotes would be escaped."""


def around(job: Job) -> tuple[bytes, bytes]:
    """A job's JSON before its results and after them."""
    before, _, after = _encode(replace(job, results=None)).partition(NO_RESULTS)
    return before + NO_RESULTS.removesuffix(b"null"), after


async def parts(before: bytes, held: Held, after: bytes) -> AsyncIterator[bytes]:
    """Raises CutOff where the results were dropped meanwhile."""
    yield before
    async for piece in held.pieces():
        yield piece
    yield after
