"""Outage: logs once when Redis becomes unavailable and once when it is back, however many calls fail."""

from structlog.typing import FilteringBoundLogger


class Outage:
    """Tracks for one component whether Redis is unavailable."""

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
        """Records that a call failed because Redis is unavailable."""
        if not self._away:
            self._away = True
            self._log.warning(self._went, error=str(error))

    def succeeded(self) -> None:
        """Records that a call was answered."""
        if self._away:
            self._away = False
            self._log.info(self._back)
