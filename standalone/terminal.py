"""Terminal output: one plain line for each event."""

import contextlib


def say(line: str) -> None:
    """Prints the line without buffering. Ignores a closed terminal, which must not prevent a stop."""
    with contextlib.suppress(OSError):
        print(line, flush=True)  # noqa: T201
