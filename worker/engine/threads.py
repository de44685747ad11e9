"""How many threads compute a forward pass: as many as this process really has cores, and patient ones.

Torch counts the machine's cores. In a container with a quota that is far too many: all of them are stopped
for most of each period when together they have used it up.
"""

import ctypes
import math
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from threadpoolctl import threadpool_limits

SYSTEM = Path("/")


def claim(threads: int | None) -> int:
    """Sets the threads of this process, which must not have loaded torch or NumPy yet, and tells how many.

    None: what the environment says, or else the cores. Whoever counts on these libraries finds it in the
    environment, torch too.
    """
    told = os.environ.get("OMP_NUM_THREADS", "")
    count = threads or (int(told) if told.isdecimal() and int(told) > 0 else cores())
    os.environ["OMP_NUM_THREADS"] = str(count)
    # Threads that spin while they wait keep the very one they wait for from its core as soon as the cores
    # are shared with an API, a Redis or another engine: a tenth of the speed, or less. A fraction of a
    # millisecond does no such harm, and saves many a sleep between the short operations of a batch.
    if os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE") == "PASSIVE":
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    return count


def tell_torch(count: int) -> None:
    """The same for torch, before its first operation. Threads between operations are of no use to us."""
    import torch

    torch.set_num_threads(count)
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)


def alone() -> None:
    """Lets the calling thread compute without helpers, in whatever of OpenMP and MKL is loaded so far.

    libgomp hardly spins any more, in the whole process, once a second thread has helpers of its own: it
    counts more threads than cores then.
    """
    if torch := sys.modules.get("torch"):
        torch.get_num_threads()  # torch gives each thread a number when it first asks; ours must come later
        if mkl := getattr(_torch_library(), "MKL_Set_Num_Threads_Local", None):
            mkl(1)
    threadpool_limits(1, user_api="openmp")


@cache
def _torch_library() -> ctypes.CDLL | None:
    """Torch's own, which has MKL in it on some processors."""
    file = Path(sys.modules["torch"].__file__ or "").parent / "lib" / "libtorch_cpu.so"
    return ctypes.CDLL(str(file)) if file.is_file() else None


def cores(system: Path = SYSTEM) -> int:
    """Physical cores that this process may use, or fewer where its control group has a quota; at least 1."""
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    physical = {_core(system, cpu) for cpu in usable}
    return max(1, min([len(physical), *map(math.ceil, _quotas(system))]))


def _core(system: Path, cpu: int) -> str:
    """What the hyperthreads of one core have in common; the CPU itself where the system doesn't tell."""
    topology = system / f"sys/devices/system/cpu/cpu{cpu}/topology"
    for name in ("core_cpus_list", "thread_siblings_list"):
        if told := _read(topology / name):
            return told
    return str(cpu)


def _quotas(system: Path) -> Iterator[float]:
    """Cores' worth of time that each control group above this process allows, of version 1 or 2."""
    for line in _read(system / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = [controllers, "cpu", "cpu,cpuacct"] if controllers else ["", "unified"]
        for mount in mounts:
            # in a container the path may be the host's, of which only the root can be seen
            for group in (path, *map(str, Path(path).parents), "/"):
                yield from _quota(system / "sys/fs/cgroup" / mount / group.lstrip("/"))


def _quota(group: Path) -> Iterator[float]:
    quota, _, period = _read(group / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
    if quota.isdecimal() and period.isdecimal() and int(period) > 0:  # not "max", not -1
        yield int(quota) / int(period)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
