"""How much memory keys and values of rows may take."""

import contextlib
import re
import resource
from pathlib import Path

import torch

SHARE = 0.25
"""Of the memory that is free once the model is loaded. The rest is for passes, other models, and peaks."""


def positions(device: torch.device, position_bytes: int) -> int:
    """Returns how many positions of so many bytes each may be in memory."""
    return max(1, int(SHARE * _free(device)) // position_bytes)


def _free(device: torch.device) -> int:
    """Returns the free bytes of the device's memory, or of the process's limit if that is less."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)  # from the model's `memory_limit`
    free = _entry("/proc/meminfo", "MemAvailable", 2**32)
    if limit == resource.RLIM_INFINITY:
        return free
    return min(free, max(0, limit - _entry("/proc/self/status", "VmData", 0)))


def _entry(path: str, name: str, otherwise: int) -> int:
    """Returns the bytes of an entry in kB, or `otherwise` where there is no such file."""
    with contextlib.suppress(OSError):
        if found := re.search(rf"^{name}:\s+(\d+) kB", Path(path).read_text(encoding="ascii"), re.M):
            return 1024 * int(found[1])
    return otherwise
