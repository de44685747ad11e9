"""Detects the errors of a pipeline that mean that memory ran out."""

SAID = ("can't allocate memory", "not enough memory", "out of memory")
"""Messages of torch's allocators, which raise RuntimeError."""

DEPTH = 10
"""Maximum number of causes of an error that are checked."""


def is_shortage(error: BaseException) -> bool:
    """Whether an exception, or one of its causes, means that memory ran out."""
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
