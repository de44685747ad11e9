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


@contextmanager
def availability() -> Iterator[None]:
    """Raises StorageUnavailable for errors of obstore and of files; FileNotFoundError remains as it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> StorageUnavailable:
    """Logs the error, unless one was logged a moment ago, and returns ours."""
    global _logged
    text = str(error)
    if time.monotonic() - _logged > LOG_EVERY:
        _logged = time.monotonic()
        log.warning("storage unavailable", error=text.partition("\n")[0][:MAX_LOGGED])
    if any(sign in text.lower() for sign in FULL):
        return StorageFull("the storage of files has no space left")
    return StorageUnavailable("the storage of files cannot be used")
