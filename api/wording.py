"""Formats times for people; `jobs/wording.py` formats counts and sizes."""

from datetime import UTC, datetime


def duration(seconds: float) -> str:
    """`2 d`, `1.5 h`, `10 min`, `45 s`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def time_of_day(unix: float) -> str:
    """`12:03:04 UTC`."""
    return f"{datetime.fromtimestamp(unix, UTC):%H:%M:%S} UTC"
