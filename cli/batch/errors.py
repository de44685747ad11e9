"""The reason why a command ends early, in one sentence for people."""


class CannotContinue(Exception):
    """The command ends with status 1; the text says why, and what to do."""


class Unavailable(CannotContinue):
    """The server did not answer, or said that it cannot answer now. The request may be repeated."""

    def __init__(self, message: str, retry_after: float | None = None, *, sent: bool = True) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the server asked to wait."""
        self.sent = sent
        """Whether the server may have acted on the request."""
