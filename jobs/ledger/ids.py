"""Job ids: UUIDv7 (RFC 9562, section 5.7), so that an id contains its creation time."""

import hashlib
import os
import time
import uuid


def new_id() -> str:
    """Returns a new id: 48 bits of Unix ms, 12 of the ms fraction (section 6.2, method 3), 62 random bits.

    The fraction keeps ids of one millisecond in creation order: a queue sorts jobs of equal score by id.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    noise = int.from_bytes(os.urandom(8)) & ~(0xC000 << 48) | 0x8000 << 48
    digits = f"{milliseconds:012x}7{fraction:03x}{noise:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def created_ms(job_id: str) -> int | None:
    """Returns the id's creation time in Unix ms, or None if it is not a UUIDv7 in canonical form."""
    try:
        parsed = uuid.UUID(job_id)
    except ValueError:
        return None
    if parsed.version != 7 or str(parsed) != job_id:
        return None
    return parsed.int >> 80


def derived(nonce: str, content: bytes) -> str:
    """Returns an id computed from another id and a content: that id's time, and a digest of both.

    The same content with the same nonce gives the same job id, changed content another.
    """
    digest = int.from_bytes(hashlib.sha256(nonce.encode() + content).digest()[:8])
    noise = digest & ~(0xC000 << 48) | 0x8000 << 48
    return str(uuid.UUID(int=uuid.UUID(nonce).int >> 64 << 64 | noise))
