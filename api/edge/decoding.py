"""Decoding of request bodies: which ones a thread decodes, so that the event loop stays free; and errors."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from api.edge.json_shape import MAX_DEPTH
from jobs.errors import InvalidRequest
from jobs.validation import explained

R = TypeVar("R")

LIGHT_BYTES = 16 * 1024
"""Bytes up to which a body is decoded at once, whatever its structure."""
THREAD_BYTES = 256 * 1024
"""Bytes from which on a thread decodes a body. Decoding a smaller one takes less time than using a thread."""
MAX_LIGHT_STRUCTURE = 4_000
"""Brackets and commas from which on a body between these two sizes is decoded like a large one."""

_one_at_a_time = asyncio.Semaphore(1)


def is_heavy(body: bytearray) -> bool:
    """Whether a thread should decode the JSON."""
    if len(body) <= LIGHT_BYTES:
        return False
    return len(body) >= THREAD_BYTES or sum(map(body.count, (b"[", b"{", b","))) > MAX_LIGHT_STRUCTURE


async def in_thread(work: Callable[..., R], *given: Any) -> R:
    """Runs it in a thread. Decoding holds the GIL: several at once would block the event loop."""
    async with _one_at_a_time:
        return await asyncio.to_thread(work, *given)


@contextmanager
def readable_errors(kind: type[msgspec.Struct]) -> Iterator[None]:
    """Converts the errors of decoding JSON to `kind` to InvalidRequest, with a sentence and a pointer."""
    try:
        yield
    except msgspec.ValidationError as error:
        raise explained(error, kind, "") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise InvalidRequest(f"the body is nested more than {MAX_DEPTH} levels deep") from None
