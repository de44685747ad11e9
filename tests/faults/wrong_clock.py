"""`python -m tests.faults.wrong_clock SECONDS MODULE ...`: MODULE, on a wall clock that is SECONDS fast.

What asks C for the time, as `datetime.now()` does, sees the right one; nothing decides anything by that.
"""

import runpy
import sys
import time


def command(module: str, seconds: float) -> list[str]:
    """The module and arguments to start; the module alone where its clock is right."""
    return ["tests.faults.wrong_clock", str(seconds), module] if seconds else [module]


def shift(seconds: float) -> None:
    """time.time() and time.time_ns() are wrong from now on; the steady clocks stay right."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + seconds
    time.time_ns = lambda: real_ns() + int(seconds * 1e9)


if __name__ == "__main__":
    _, seconds, module, *arguments = sys.argv
    shift(float(seconds))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
