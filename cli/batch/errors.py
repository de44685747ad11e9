"""The reason why a command ends early, in one sentence for people."""


class CannotContinue(Exception):
    """The command ends with status 1; the text says why, and what to do."""


class Refused(CannotContinue):
    """The server refused a request, and would refuse it again."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.may_be_lost = status in (400, 404, 410)
        """Whether the reason may be that the server no longer has a file or a batch of the run."""


class Unavailable(CannotContinue):
    """The server did not answer, or said that it cannot answer now. The request may be repeated."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the server asked to wait."""
