"""Figures: what the metrics show of files and batches, read in one script that looks at no single batch."""

from typing import NamedTuple

from bulk.batches import keys
from bulk.batches.batch import BatchState
from bulk.batches.scripted import Scripts
from bulk.files import keys as file_keys

UNFINISHED = (BatchState.VALIDATING, BatchState.IN_PROGRESS, BatchState.FINALIZING, BatchState.CANCELLING)
"""In the order of their numbers in `record.lua`."""

ENDED = tuple(state for state in BatchState if state.terminal)

OUTCOMES = ("completed", "failed")
"""Of lines."""

ALIVE = 10.0
"""Seconds after its newest report at which a bulk process counts as lost."""


class Figures(NamedTuple):
    """What is known at one time."""

    unfinished: dict[BatchState, int]
    oldest_ms: int
    """Milliseconds since the oldest unfinished batch was created; 0 without one."""
    ended: dict[BatchState, int]
    """All that have ever ended so."""
    lines: dict[str, int]
    """Lines that have ever had such an outcome."""
    stored: int
    """Bytes of all files."""
    processes: int
    """Bulk processes that live."""


async def read(scripts: Scripts) -> Figures:
    """Returns the figures. Raises QueueUnavailable."""
    key = scripts.shard.key
    sizes, oldest, found, stored, processes = await scripts.run(
        "figures",
        batch_states=key(keys.STATES),
        batch_counts=key(keys.COUNTS),
        files_stored=key(file_keys.STORED),
        bulk_processes=key(keys.PROCESSES),
        states=len(UNFINISHED),
        alive=ALIVE,
    )
    counts = dict(zip(map(bytes.decode, found[::2]), map(int, found[1::2]), strict=True))
    return Figures(
        dict(zip(UNFINISHED, sizes, strict=True)),
        oldest,
        {state: counts.get(state.value, 0) for state in ENDED},
        {outcome: counts.get(f"lines:{outcome}", 0) for outcome in OUTCOMES},
        stored,
        processes,
    )
