"""How a process ended, in words. It is restarted by `worker/supervisor/` or `standalone/child.py`."""

import signal


def how_it_ended(status: int) -> str:
    """From a status as subprocess gives it: negative for a signal."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
