"""`python -m tests.faults.wrong_clock SECONDS MODULE ...`: runs MODULE with a wall clock SECONDS fast.

Code that gets the time from C, such as `datetime.now()`, sees the right time; no decision depends on it.
"""

import runpy
import sys
import time


def command(module: str, seconds: float) -> list[str]:
    """The module and arguments to start; only the module if its clock is right."""
    return ["tests.faults.wrong_clock", str(seconds), module] if seconds else [module]


def shift(seconds: float) -> None:
    """Shifts time.time() and time.time_ns() from now on; the monotonic clocks stay right."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + seconds
    time.time_ns = lambda: real_ns() + int(seconds * 1e9)


if __name__ == "__main__":
    _, seconds, module, *arguments = sys.argv
    shift(float(seconds))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
