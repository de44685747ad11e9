"""Formats counts with their nouns in the singular or plural, sizes and times."""

from datetime import UTC, datetime


def noun(count: float | str, one: str) -> str:
    """`job` for 1, else `jobs`. If the count is a text, `1` is singular and `1.0` is not."""
    return one if str(count) == "1" else f"{one}s"


def counted(count: int, one: str) -> str:
    """`1 job`, `1,234 jobs`."""
    return f"{count:,} {noun(count, one)}"


def bytes_in_words(count: int) -> str:
    """`8.2 MB`, `300.4 kB`."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def time_of_day(unix: float) -> str:
    """`12:03:04 UTC`."""
    return f"{datetime.fromtimestamp(unix, UTC):%H:%M:%S} UTC"
