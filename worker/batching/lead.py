"""Lead: how long before the running batch ends the next one is chosen and sent to be prepared. Pure.

Late is better, because new arrivals may improve the batch; but while it is decoded and tokenized the engine
must not wait. Texts are prepared in a moment, images and sounds are not. So the lead grows by what the engine
had to wait, and shrinks slowly.
"""

LEAD_SECONDS = 0.003
LEAD_SHARE = 0.1
"""The least lead: seconds, plus a share of the expected time of the running batch."""

TOLERATED = 0.002
"""Seconds that the engine may wait; handing over a batch that is ready takes less."""

SHRINK = 0.95
"""Factor on the further lead for each batch that was ready in time."""

MOST = 5.0
"""Seconds; at most the further lead."""


class Lead:
    """The lead of one feeder."""

    def __init__(self) -> None:
        self._further = 0.0

    def seconds(self, expected: float) -> float:
        """Returns the lead before the end of a batch that is expected to run for so many seconds."""
        return min(expected, LEAD_SECONDS + LEAD_SHARE * expected + self._further)

    def record(self, waited: float) -> None:
        """Adds the seconds that the engine waited for a batch although its inputs were there."""
        if waited > TOLERATED:
            self._further = min(self._further + waited, MOST)
        else:
            self._further *= SHRINK
