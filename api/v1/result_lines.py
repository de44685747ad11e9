"""The results of an ended job's inputs, each with its `index`, in the order in which they became known."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

import msgspec

from api.services import Services
from api.waiting.large_results import PIECE
from jobs.ledger.reading import Outcomes


async def results(shared: Services, found: Outcomes, after: int) -> tuple[int, Iterator[bytes]]:
    """The results of an ended job after the first `after`, and their number. Large ones are read first.

    Raises JobGone, OverBudget and QueueUnavailable; the iterator raises CutOff.
    """
    part: Callable[[int, int], bytes]
    if isinstance(found.job.results, msgspec.Raw):
        data = bytes(found.job.results)
        spans, part = split(data), lambda start, end: data[start:end]
    else:
        held = await shared.large.of(found.job)
        spans, part = held.spans(split), held.part
    known = _ordered(spans, found.order)[after:]
    return len(known), (_indexed(index, part(start, end)) for index, start, end in known)


async def in_pieces(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Joins small parts; other requests have their turn between two pieces."""
    piece = bytearray()
    for part in parts:
        piece += part
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
            await asyncio.sleep(0)  # else everything would be sent to a fast client without a pause
    yield bytes(piece)


def as_lines(known: Iterable[bytes]) -> Iterator[bytes]:
    """Each result as a line."""
    return (result + b"\n" for result in known)


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
