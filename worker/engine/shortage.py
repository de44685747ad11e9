"""Which errors of a pipeline say that there was no memory left."""

SAID = ("can't allocate memory", "not enough memory", "out of memory")
"""By torch's allocators, which raise a RuntimeError."""

DEPTH = 10
"""Causes of an error that are looked at."""


def is_shortage(error: BaseException) -> bool:
    """Whether an exception, or one that it was raised from, says that there is no memory left."""
    connection: BaseException | None = error
    for _ in range(DEPTH):
        if connection is None:
            return False
        if isinstance(connection, MemoryError):
            return True
        if isinstance(connection, RuntimeError) and any(words in str(connection).lower() for words in SAID):
            return True
        connection = connection.__cause__ or connection.__context__
    return False
