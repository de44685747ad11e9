"""Job ids: UUIDv7 (RFC 9562, section 5.7), so that an id tells when it was made."""

import hashlib
import os
import time
import uuid


def new_id() -> str:
    """A fresh id: 48 bits of Unix ms, 12 of the fraction of the ms (section 6.2, method 3), 62 random bits.

    The fraction keeps the ids of one millisecond in the order in which they were made: jobs of equal score
    stand in their queue in the order of their ids.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    noise = int.from_bytes(os.urandom(8)) & ~(0xC000 << 48) | 0x8000 << 48
    digits = f"{milliseconds:012x}7{fraction:03x}{noise:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def created_ms(job_id: str) -> int | None:
    """Unix milliseconds at which the id was made, or None when it is not a UUIDv7 in its canonical form."""
    try:
        parsed = uuid.UUID(job_id)
    except ValueError:
        return None
    if parsed.version != 7 or str(parsed) != job_id:
        return None
    return parsed.int >> 80


def derived(nonce: str, content: bytes) -> str:
    """The id that follows from another id and a content: it has that id's time, and a digest of both.

    So whoever sends the same again under the same nonce names the same job, and with a change another.
    """
    digest = int.from_bytes(hashlib.sha256(nonce.encode() + content).digest()[:8])
    noise = digest & ~(0xC000 << 48) | 0x8000 << 48
    return str(uuid.UUID(int=uuid.UUID(nonce).int >> 64 << 64 | noise))


def in_a_row(first: str, count: int) -> list[str]:
    """So many ids, up to 4,096, that count up from the first, whose last 12 bits they begin anew.

    Whoever knows the first knows them all: jobs that were submitted together need no list of their own.
    """
    start = uuid.UUID(first).int & ~0xFFF
    return [str(uuid.UUID(int=start + i)) for i in range(count)]
