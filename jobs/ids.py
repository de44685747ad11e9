"""Job ids: UUIDv7 (RFC 9562, section 5.7), so that an id tells when it was made."""

import os
import time
import uuid


def new_id() -> str:
    """A fresh id: 48 bits of Unix milliseconds, then version, variant and 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF000 << 64) | 0x7000 << 64
    value = value & ~(0xC000 << 48) | 0x8000 << 48
    return str(uuid.UUID(int=value))


def created_ms(job_id: str) -> int | None:
    """Unix milliseconds at which the id was made, or None when it is not a UUIDv7 in its canonical form."""
    try:
        parsed = uuid.UUID(job_id)
    except ValueError:
        return None
    if parsed.version != 7 or str(parsed) != job_id:
        return None
    return parsed.int >> 80
