"""Splits a job's JSON around its results, so that large results can be sent in pieces."""

from collections.abc import AsyncIterator

import msgspec
from msgspec.structs import replace

from api.waiting.large_results import HeldResults
from jobs.schema import Job

_encode = msgspec.json.Encoder().encode

NO_RESULTS = b'"results":null'
"""The place of the results in a job's JSON. It is unique, because quotes in a string are escaped."""


def around(job: Job) -> tuple[bytes, bytes]:
    """A job's JSON before its results, and after them."""
    before, _, after = _encode(replace(job, results=None)).partition(NO_RESULTS)
    return before + NO_RESULTS.removesuffix(b"null"), after


async def parts(before: bytes, held: HeldResults, after: bytes) -> AsyncIterator[bytes]:
    """The JSON in pieces. Raises CutOff if the results were dropped meanwhile."""
    yield before
    async for piece in held.pieces():
        yield piece
    yield after
