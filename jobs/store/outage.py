"""Outage: logs once when Redis becomes unavailable and once when it is available again."""

from structlog.typing import FilteringBoundLogger


class Outage:
    """Tracks for one component whether Redis is unavailable."""

    def __init__(
        self,
        log: FilteringBoundLogger,
        lost_event: str = "Redis unavailable, retrying",
        restored_event: str = "Redis available again",
    ) -> None:
        self._log = log
        self._lost_event, self._restored_event = lost_event, restored_event
        self._unavailable = False

    def failed(self, error: Exception) -> None:
        """Records that a call failed because Redis is unavailable."""
        if not self._unavailable:
            self._unavailable = True
            self._log.warning(self._lost_event, error=str(error))

    def succeeded(self) -> None:
        """Records that a call was answered."""
        if self._unavailable:
            self._unavailable = False
            self._log.info(self._restored_event)
