"""Fail points: places at which a test lets this process die, as if it had been killed just there.

`BATCHLINE_CRASH_AT=before_finish` kills the process with SIGKILL when it comes there; `before_finish:3`, when
it comes there for the third time. Unset, as for everybody but tests, a fail point costs one comparison.
"""

import os
import signal
from typing import Literal, get_args

Place = Literal["after_submit", "after_claim", "before_finish", "after_finish", "after_note"]

_place, _, _times = os.environ.get("BATCHLINE_CRASH_AT", "").partition(":")
_left = int(_times or 1)
assert _place in ("", *get_args(Place)), f"BATCHLINE_CRASH_AT: there is no place {_place!r}"


def reach(place: Place) -> None:
    """Dies here if told to."""
    global _left
    if place == _place:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
