"""Cleaning: deletes files whose lifetime is over, leftovers of uploads, and contents without a record.

Contents without a record remain if a process dies between storing a content and recording it, or between
deleting a record and its content.
"""

import re
import time
from typing import NamedTuple

import structlog

from bulk.files.file import FOLDER, path_of
from bulk.files.records import CHUNK, Records
from bulk.storage.storage import Storage

log = structlog.get_logger(__name__)

EVERY = 50.0
"""Seconds between two deletions of expired files, by all processes together."""

ORPHANS_EVERY = 600.0
"""Seconds between two searches for orphans, which list all contents."""

ORPHAN_AGE = 3600.0
"""Seconds after which the content of an upload without a record is deleted. No upload is recorded so late."""

OUTPUT_ORPHAN_AGE = 31 * 86_400.0
"""The same for contents that batches wrote: a batch may record them whenever it is continued."""

_UPLOADED = re.compile(r"file-[0-9a-f]{32}")
"""Ids of uploads (`file.new_id`). Batches derive those of their files from their own."""


class Cleaned(NamedTuple):
    """What one cleaning deleted."""

    expired: int = 0
    """Files whose lifetime was over."""
    partial: int = 0
    """Leftovers of uploads in the folder."""
    orphans: int = 0
    """Contents without a record."""


async def clean(records: Records, storage: Storage) -> Cleaned:
    """Cleans what it is time for. Raises QueueUnavailable and StorageUnavailable: call it again later."""
    expired = partial = orphans = 0
    if await records.turn("expired", EVERY):
        expired = await _expire(records, storage)
    if await records.turn("orphans", ORPHANS_EVERY):
        partial = await storage.clean(ORPHAN_AGE)
        orphans = await _delete_orphans(records, storage)
    cleaned = Cleaned(expired, partial, orphans)
    if any(cleaned):
        log.info("files cleaned", **cleaned._asdict())
    return cleaned


async def _expire(records: Records, storage: Storage) -> int:
    count = 0
    while True:
        ids = await records.expire()
        await storage.delete([path_of(file_id) for file_id in ids])
        count += len(ids)
        if len(ids) < CHUNK:
            return count


async def _delete_orphans(records: Records, storage: Storage) -> int:
    count = 0
    now = time.time()
    async for objects in storage.list(FOLDER):
        old = {}
        for each in objects:
            file_id = each.path.rpartition("/")[2]
            age = ORPHAN_AGE if _UPLOADED.fullmatch(file_id) else OUTPUT_ORPHAN_AGE
            if each.modified < now - age:
                old[file_id] = each.path
        lost = await records.missing(list(old))
        await storage.delete([old[file_id] for file_id in lost])
        count += len(lost)
    return count
