"""The upkeep of the storage: deletes what nobody needs any more, once a minute."""

import asyncio
from typing import NoReturn

import structlog

from bulk.batches.runs import Runs
from bulk.files.cleaning import ORPHANS_EVERY
from bulk.files.files import Files
from bulk.runner.leftovers import delete_leftovers
from bulk.storage.storage import Storage
from jobs.errors import QueueUnavailable, StorageUnavailable
from jobs.store.outage import Outage

log = structlog.get_logger(__name__)

EVERY = 60.0
"""Seconds."""


async def clean_storage(files: Files, runs: Runs, storage: Storage) -> NoReturn:
    """Cleans until it is cancelled. Several processes may do it: they take turns."""
    outage = Outage(log, "files cannot be cleaned, retrying", "files are cleaned again")
    while True:
        try:
            await files.clean()
            if await files.turn("batches", ORPHANS_EVERY) and (
                count := await delete_leftovers(runs, storage)
            ):
                log.info("objects of batches without a record deleted", count=count)
        except (QueueUnavailable, StorageUnavailable) as error:
            outage.failed(error)
        except Exception:  # after a bug, batches must continue
            log.exception("cleaning of files failed")
        else:
            outage.succeeded()
        await asyncio.sleep(EVERY)
