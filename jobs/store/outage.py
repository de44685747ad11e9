"""Outage: one log line when Redis goes away and one when it is back, however many calls fail in between."""

from structlog.typing import FilteringBoundLogger


class Outage:
    """Whether Redis is away, as one user of it sees it."""

    def __init__(
        self,
        log: FilteringBoundLogger,
        went: str = "Redis is away, trying again",
        back: str = "Redis is back",
    ) -> None:
        self._log = log
        self._went, self._back = went, back
        self._away = False

    def failed(self, error: Exception) -> None:
        """A call failed because Redis cannot be used."""
        if not self._away:
            self._away = True
            self._log.warning(self._went, error=str(error))

    def succeeded(self) -> None:
        """A call was answered."""
        if self._away:
            self._away = False
            self._log.info(self._back)
