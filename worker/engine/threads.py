"""Sets how many threads compute a forward pass: one per core of this process, with little spinning.

Torch counts the machine's cores. In a container with a CPU quota that is far too many: once all threads
together have used up the quota, they are stopped for the rest of the period.
"""

import ctypes
import math
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from threadpoolctl import threadpool_limits

ROOT = Path("/")


def set_count(threads: int | None) -> int:
    """Sets the number of threads of this process and returns it; to be called before loading torch or NumPy.

    None: the number in the environment, or else the number of cores. OpenMP, MKL and torch read the result
    from the environment.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    count = threads or (int(given) if given.isdecimal() and int(given) > 0 else cores())
    os.environ["OMP_NUM_THREADS"] = str(count)
    # A thread that spins while it waits can occupy the core of the thread it waits for, once the cores are
    # shared with an API, a Redis or another engine: that leaves a tenth of the speed, or less. Spinning for a
    # fraction of a millisecond does no such harm, and avoids many sleeps between the short operations of a
    # batch.
    if os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE") == "PASSIVE":
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    return count


def set_torch_threads(count: int) -> None:
    """Sets torch's number of threads, before its first operation, and disables its inter-op threads."""
    import torch

    torch.set_num_threads(count)
    if torch.get_num_interop_threads() != 1:
        torch.set_num_interop_threads(1)


def use_one_thread() -> None:
    """Makes the calling thread compute without helper threads, in all loaded OpenMP and MKL libraries.

    Once a second thread has helper threads, libgomp hardly spins in the whole process, because it then counts
    more threads than cores.
    """
    if torch := sys.modules.get("torch"):
        torch.get_num_threads()  # the first call sets the thread's number; ours must come later
        if mkl := getattr(_torch_library(), "MKL_Set_Num_Threads_Local", None):
            mkl(1)
    threadpool_limits(1, user_api="openmp")


@cache
def _torch_library() -> ctypes.CDLL | None:
    """Torch's own library, which includes MKL on some processors."""
    file = Path(sys.modules["torch"].__file__ or "").parent / "lib" / "libtorch_cpu.so"
    return ctypes.CDLL(str(file)) if file.is_file() else None


def cores(system: Path = ROOT) -> int:
    """Returns the physical cores this process may use, limited by its control group's quota; at least 1."""
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    physical = {_core(system, cpu) for cpu in usable}
    return max(1, min([len(physical), *map(math.ceil, _quotas(system))]))


def _core(system: Path, cpu: int) -> str:
    """An id common to the hyperthreads of a core; the CPU's number if the system reports none."""
    topology = system / f"sys/devices/system/cpu/cpu{cpu}/topology"
    for name in ("core_cpus_list", "thread_siblings_list"):
        if given := _read(topology / name):
            return given
    return str(cpu)


def _quotas(system: Path) -> Iterator[float]:
    """Yields the cores' worth of time that each control group above this process allows, version 1 or 2."""
    for line in _read(system / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = [controllers, "cpu", "cpu,cpuacct"] if controllers else ["", "unified"]
        for mount in mounts:
            # in a container the path may be the host's, of which only the root is visible
            for group in (path, *map(str, Path(path).parents), "/"):
                yield from _quota(system / "sys/fs/cgroup" / mount / group.lstrip("/"))


def _quota(group: Path) -> Iterator[float]:
    quota, _, period = _read(group / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
    if quota.isdecimal() and period.isdecimal() and int(period) > 0:  # neither "max" nor -1
        yield int(quota) / int(period)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
