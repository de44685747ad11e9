"""Fail points: places in the code at which a test can kill this process.

`BATCHLINE_CRASH_AT=before_finish` kills the process with SIGKILL when it reaches that place;
`before_finish:3` when it reaches it for the third time. Unset, as outside tests, a fail point costs one
comparison.
"""

import os
import signal
from typing import Literal, get_args

Place = Literal[
    "after_upload",
    "after_submit",
    "after_claim",
    "before_finish",
    "after_finish",
    "after_note",
    "after_files",
    "after_move",
    "after_delivery",
    "before_begin",
    "after_begin",
    "before_part",
    "after_part",
    "after_chunk",
    "before_finalize",
    "after_finalize",
    "before_finish_batch",
    "after_finish_batch",
]

_place, _, _times = os.environ.get("BATCHLINE_CRASH_AT", "").partition(":")
_left = int(_times or 1)
assert _place in ("", *get_args(Place)), f"BATCHLINE_CRASH_AT: unknown place {_place!r}"


def reach(place: Place) -> None:
    """Kills the process if `BATCHLINE_CRASH_AT` names this place."""
    global _left
    if place == _place:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
