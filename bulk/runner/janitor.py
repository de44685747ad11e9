"""The upkeep of files: deletes expired ones and what dead uploads left, once a minute."""

import asyncio
from typing import NoReturn

import structlog

from bulk.files.cleaning import Cleaned
from bulk.files.files import Files
from jobs.errors import QueueUnavailable, StorageUnavailable
from jobs.store.outage import Outage

log = structlog.get_logger(__name__)

EVERY = 60.0
"""Seconds."""


async def clean_files(files: Files) -> NoReturn:
    """Cleans until it is cancelled. Several processes may do it."""
    outage = Outage(log, "files cannot be cleaned, retrying", "files are cleaned again")
    while True:
        try:
            cleaned = await files.clean()
        except (QueueUnavailable, StorageUnavailable) as error:
            outage.failed(error)
        except Exception:  # after a bug, batches must continue
            log.exception("cleaning of files failed")
        else:
            outage.succeeded()
            if cleaned != Cleaned():
                log.info("files cleaned", **cleaned._asdict())
        await asyncio.sleep(EVERY)
