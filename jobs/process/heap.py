"""Excludes long-lived objects from garbage collection; decides which freed memory the process keeps."""

import ctypes
import gc
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""
BLOCK = 256 * 1024
"""Blocks of at least this many bytes are allocated separately and returned to the system when freed."""

KEPT_BLOCK, KEPT = 256 * 1024**2, 512 * 1024**2
"""A process that keeps freed memory returns blocks of at least KEPT_BLOCK bytes, and more than KEPT bytes."""


YOUNG, MIDDLE, OLD = 10_000, 20, 20
"""New objects before a collection of the youngest, and such collections before one of the older ones.

Python's 700 new objects are a few requests in progress: collections found nothing, and took 4 % of the API's
time."""


def settle() -> None:
    """Excludes all current objects from later collections, which also become rarer.

    A full collection of the excluded ones takes 50 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)


def return_large_blocks() -> None:
    """Makes glibc return freed blocks of BLOCK bytes or more to the system at once; no effect without glibc.

    By default glibc keeps blocks of up to 32 MiB once one was freed, so after many large requests the process
    would stay as large as at its peak.
    """
    _set_thresholds(BLOCK, BLOCK)


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory, for a process that needs as much in each batch; no effect without glibc.

    By default it returns much of it at once, and the system clears each page anew in the next batch.
    """
    _set_thresholds(KEPT_BLOCK, KEPT)


def _set_thresholds(separate: int, kept: int) -> None:
    """Blocks of `separate` bytes or more are allocated separately; up to `kept` freed bytes are kept."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        # some releases of glibc refuse more than 32 MiB
        mallopt(M_MMAP_THRESHOLD, separate) or mallopt(M_MMAP_THRESHOLD, 32 * 1024**2)
        mallopt(M_TRIM_THRESHOLD, kept)
