"""Formats counts with their nouns in the singular or plural, and sizes."""


def noun(count: float | str, one: str) -> str:
    """Returns `job` for 1, else `jobs`. If the count is a text, `1` is singular and `1.0` is not."""
    return one if str(count) == "1" else f"{one}s"


def counted(count: int, one: str) -> str:
    """Returns `1 job`, `1,234 jobs`."""
    return f"{count:,} {noun(count, one)}"


def bytes_in_words(count: float) -> str:
    """Returns `4.3 GB`, `8.2 MB`, `300.4 kB`, `264 bytes`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return counted(round(count), "byte")
