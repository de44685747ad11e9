"""How a benchmark's command ends: with a table, or with one line about why there is none."""

import signal
import sys
from collections.abc import Callable

from bench.errors import BenchError


def exit_status(measure: Callable[[], object]) -> int:
    """Runs a benchmark and returns its exit status: 1 if it failed, 130 after Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop like on Ctrl-C
    try:
        measure()
    except BenchError as error:
        print(f"\nbench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbench: interrupted, nothing written", file=sys.stderr)
        return 130
    return 0
