"""Formats counts with their nouns in the singular or plural, sizes and times."""

from datetime import UTC, datetime


def noun(count: float | str, one: str) -> str:
    """`job` for 1, else `jobs`. If the count is a text, `1` is singular and `1.0` is not."""
    return one if str(count) == "1" else f"{one}s"


def counted(count: int, one: str) -> str:
    """`1 job`, `1,234 jobs`."""
    return f"{count:,} {noun(count, one)}"


def bytes_in_words(count: float) -> str:
    """`4.3 GB`, `8.2 MB`, `300.4 kB`, `264 bytes`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return counted(round(count), "byte")


def duration(seconds: float) -> str:
    """`2 d`, `1.5 h`, `10 min`, `45 s`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def time_of_day(unix: float) -> str:
    """`12:03:04 UTC`."""
    return f"{datetime.fromtimestamp(unix, UTC):%H:%M:%S} UTC"
