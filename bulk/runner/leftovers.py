"""Leftovers: objects of batches that have no record any more.

They remain if the record of an ended batch ends before its objects could be deleted, for example because the
storage was away or no process ran; or if a process that lost its lease writes one late.
"""

import time
from collections import defaultdict

from bulk.batches.runs import Runs
from bulk.files.cleaning import ORPHAN_AGE
from bulk.runner.parts import FOLDER
from bulk.storage.storage import Storage


async def delete_leftovers(runs: Runs, storage: Storage) -> int:
    """Deletes them once they are old; returns how many. Raises QueueUnavailable and StorageUnavailable."""
    count, before = 0, time.time() - ORPHAN_AGE
    async for objects in storage.list(FOLDER):
        old = defaultdict(list)
        for each in objects:
            if each.modified < before:
                old[each.path.split("/")[1]].append(each.path)
        lost = [path for batch_id in await runs.missing(list(old)) for path in old[batch_id]]
        await storage.delete(lost)
        count += len(lost)
    return count
