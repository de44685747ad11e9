"""What is said on the terminal: plain lines, one for each thing that happens."""

import contextlib


def say(line: str) -> None:
    """Prints the line at once. A terminal that has gone away must not keep anything from being stopped."""
    with contextlib.suppress(OSError):
        print(line, flush=True)  # noqa: T201
