"""Describes how a process ended. `worker/supervisor/` and `standalone/child.py` restart processes."""

import signal


def how_it_ended(status: int) -> str:
    """Describes an exit status from subprocess, which is negative for a signal."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
