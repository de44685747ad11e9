"""Keeps the garbage collector off what lives as long as the process; returns freed memory to the system."""

import ctypes
import gc
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's names of what `mallopt` sets."""
BLOCK = 256 * 1024
"""Bytes from which on a block of memory is the system's own, and returned to it as soon as it is freed."""


def settle() -> None:
    """What was made until now is not looked at again: a full collection of it stops everything for 50 ms."""
    gc.collect()
    gc.freeze()


def return_large_blocks() -> None:
    """Freed blocks of BLOCK bytes go back to the system at once, where the C library is glibc.

    By default glibc keeps blocks of up to 32 MiB once it has seen one freed, and a flood of large requests
    would leave the process as large as it was at its peak.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, BLOCK)
        mallopt(M_TRIM_THRESHOLD, BLOCK)
