"""Errors of obstore as ours: the storage is away, or full."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from obstore.exceptions import BaseError

from jobs.errors import StorageFull, StorageUnavailable

_logged = -math.inf
"""When an error was last logged."""

log = structlog.get_logger(__name__)

FULL = (
    "no space left on device",
    "disk quota exceeded",
    "file too large",
    "insufficient storage",
    "storagefull",
    "quotaexceeded",
)
"""Error texts, in lower case, of file systems and S3 servers without space."""

LOG_EVERY = 10.0
"""Seconds between two log lines: each request meets an outage."""

MAX_LOGGED = 500
"""Characters of an error that are logged: it may contain the whole answer of a server."""


NO_BUCKET = ("nosuchbucket", "containernotfound", "bucket does not exist")
"""The same of servers without the bucket. For most calls it is the error of a missing object else."""

MISSING = "the bucket or folder of BATCHLINE_STORAGE_URL does not exist"


@contextmanager
def availability() -> Iterator[None]:
    """Raises StorageUnavailable for errors of obstore and of files; FileNotFoundError remains as it is."""
    try:
        yield
    except FileNotFoundError as error:
        if _without_bucket(error):
            raise unavailable(error) from error
        raise
    except (BaseError, OSError) as error:
        raise unavailable(error) from error


@contextmanager
def acceptance() -> Iterator[None]:
    """The same for writes: what does not exist then is no object, but the place for it."""
    try:
        with availability():
            yield
    except FileNotFoundError as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> StorageUnavailable:
    """Logs the error, unless one was logged a moment ago, and returns ours."""
    global _logged
    missing = isinstance(error, FileNotFoundError) or _without_bucket(error)
    text = MISSING if missing else str(error)
    if time.monotonic() - _logged > LOG_EVERY:
        _logged = time.monotonic()
        log.warning("storage unavailable", error=text.partition("\n")[0][:MAX_LOGGED])
    if any(sign in text.lower() for sign in FULL):
        return StorageFull("the storage of files has no space left")
    return StorageUnavailable(MISSING if missing else "the storage of files cannot be used")


def _without_bucket(error: Exception) -> bool:
    return any(sign in str(error).lower() for sign in NO_BUCKET)
