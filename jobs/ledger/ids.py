"""Job ids: UUIDv7 (RFC 9562, section 5.7), so that an id contains its creation time; and the job's shard."""

import hashlib
import os
import re
import time
import uuid

MAX_SHARDS = 256
"""Shards that an id can name: the two hex digits before the last three."""

_SHARD_BIT = 12
"""Lowest bit of the shard's number. The bits below it may count ids of one moment."""
_SHARD = (MAX_SHARDS - 1) << _SHARD_BIT

_UUID7 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""Canonical form. Parsing by uuid.UUID takes longer, and each submit and read of a job needs its shard."""


def new_id(shard: int = 0) -> str:
    """Returns a new id of a job in that shard.

    48 bits of Unix ms, 12 of the ms fraction (section 6.2, method 3), 62 bits of which 8 are the shard and
    the others random. The fraction keeps ids of one millisecond in creation order: a queue sorts jobs of
    equal score by id.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    noise = _marked(int.from_bytes(os.urandom(8)), shard)
    digits = f"{milliseconds:012x}7{fraction:03x}{noise:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def shard_of(job_id: str) -> int:
    """Returns the shard that the id names; any number for an id of release 0.1, 0 for no UUIDv7."""
    return int(job_id[-5:-3], 16) if _UUID7.fullmatch(job_id) else 0


def created_ms(job_id: str) -> int | None:
    """Returns the id's creation time in Unix ms, or None if it is not a UUIDv7 in canonical form."""
    return int(job_id[:8] + job_id[9:13], 16) if _UUID7.fullmatch(job_id) else None


def derived(nonce: str, content: bytes) -> str:
    """Returns an id computed from another id and a content: that id's time and shard, and a digest of both.

    The same content with the same nonce gives the same job id, changed content another.
    """
    digest = int.from_bytes(hashlib.sha256(nonce.encode() + content).digest()[:8])
    noise = _marked(digest, shard_of(nonce))
    return str(uuid.UUID(int=uuid.UUID(nonce).int >> 64 << 64 | noise))


def in_shard(job_id: str, shard: int) -> str:
    """Returns the id with another shard."""
    return f"{job_id[:-5]}{shard:02x}{job_id[-3:]}"


def _marked(noise: int, shard: int) -> int:
    """Returns 64 bits with the variant of RFC 9562 and the shard."""
    return noise & ~(0xC000 << 48) & ~_SHARD | 0x8000 << 48 | shard << _SHARD_BIT
