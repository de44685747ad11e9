"""Detects the errors of a pipeline that mean that memory ran out."""

MESSAGES = ("can't allocate memory", "not enough memory", "out of memory")
"""Messages of torch's allocators, which raise RuntimeError."""

MAX_CAUSES = 10
"""Maximum number of causes of an error that are checked."""


def is_shortage(error: BaseException) -> bool:
    """Whether an exception, or one of its causes, means that memory ran out."""
    cause: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if cause is None:
            return False
        if isinstance(cause, MemoryError):
            return True
        if isinstance(cause, RuntimeError) and any(message in str(cause).lower() for message in MESSAGES):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
