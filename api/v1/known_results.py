"""The known results of a running or ended job's inputs, in the order in which they became known.

`from=N` skips the first N results. The order does not change when the job ends or another worker takes it
over, so a client that has read N results requests the rest. Each result names its input by `index`. A result
that was returned is final.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api.access.caller import caller_of
from api.services import Services
from api.v1.replies import refuse_without_results
from api.v1.schemas import KnownResults
from api.waiting.large_results import PIECE, HeldResults
from jobs.ledger.reading import Outcomes
from jobs.schema import Job

NDJSON = "application/x-ndjson"


async def response(shared: Services, job_id: str, after: int, request: Request) -> Response:
    """The results after the first `after`: as many as fit if the job is running, all if it ended.

    Raises Refusal if the job ended without results, JobNotFound, JobGone, OverBudget or QueueUnavailable.
    """
    lines = NDJSON in request.headers.get("accept", "")
    found = await shared.ledger.outcomes(job_id, after, sees=caller_of(request.scope).sees)
    if found.known is not None:
        return _whole(found.job, after, found.known, lines=lines)
    refuse_without_results(found.job)
    if isinstance(found.job.results, msgspec.Raw):
        results = bytes(found.job.results)
        spans = _ordered(split(results), found.order)[after:]
        known = [_indexed(index, results[start:end]) for index, start, end in spans]
        return _whole(found.job, after, known, lines=lines)
    return _streamed(found, after, await shared.large.of(found.job), lines=lines)


def _whole(job: Job, after: int, known: Sequence[bytes], *, lines: bool) -> Response:
    body = b"".join(_framed(job, after, len(known), known, lines=lines))
    return Response(body, headers={"cache-control": "no-store"}, media_type=_type(lines))


def _streamed(found: Outcomes, after: int, held: HeldResults, *, lines: bool) -> Response:
    spans = _ordered(held.spans(split), found.order)[after:]

    async def body() -> AsyncIterator[bytes]:
        piece = bytearray()
        known = (_indexed(index, held.part(start, end)) for index, start, end in spans)
        for part in _framed(found.job, after, len(spans), known, lines=lines):
            piece += part
            if len(piece) >= PIECE:
                yield bytes(piece)
                piece.clear()
                await asyncio.sleep(0)  # else everything would be sent to a fast client without a pause
        yield bytes(piece)

    return StreamingResponse(body(), headers={"cache-control": "no-store"}, media_type=_type(lines))


def _type(lines: bool) -> str:
    return NDJSON if lines else "application/json"


def _framed(
    job: Job, after: int, count: int, known: Sequence[bytes] | Iterator[bytes], *, lines: bool
) -> Iterator[bytes]:
    """The results as lines, or as the last member of a JSON object."""
    if lines:
        for result in known:
            yield result + b"\n"
        return
    page = KnownResults(job.status, job.counts, after + count, [])
    yield msgspec.json.encode(page).removesuffix(b"]}")
    between = b""
    for result in known:
        yield between + result
        between = b","
    yield b"]}"


def split(results: bytes | bytearray) -> list[tuple[int, int]]:
    """The start and end of each result. The results were written as JSON without spaces between them."""
    spans = []
    at = 1
    for result in msgspec.json.decode(results, type=list[msgspec.Raw]):
        size = len(memoryview(result))
        spans.append((at, at + size))
        at += size + 1
    return spans


def _ordered(spans: Sequence[tuple[int, int]], order: Sequence[int] | None) -> list[tuple[int, int, int]]:
    """The index, start and end of each result, in the order in which they became known."""
    known = order if order and len(order) == len(spans) else range(len(spans))
    return [(index, *spans[index]) for index in known]


def _indexed(index: int, result: bytes) -> bytes:
    return b'{"index":%d,' % index + result[1:]
