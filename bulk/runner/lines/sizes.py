"""How many lines are one chunk, how many of their inputs are one job, and how much runs at once.

A chunk is what is stored at once and what runs again after a fault; a job is what a worker claims at once. A
worker looks for inputs of similar length in its window, so jobs of many inputs are as fast as one list. Texts
take long to generate, so there a job of many lines would keep the rows of the finished ones for its slowest.
"""

from bulk.runner.lines.room import Room
from jobs.models import ModelSpec
from jobs.settings import Settings
from jobs.tasks.task import nothing

USUAL = 256
"""Inputs in a job of a model that runs each input in one pass."""
MEDIA = 16
"""Inputs with media in a job. Their bytes are in memory at once."""
GENERATED = 8
"""Inputs in a job of a model that generates texts."""

WINDOWS = 4
"""Times the window of a worker (BATCHLINE_WINDOW_ITEMS) that a batch has in flight: while the rows of one
job are stored, the worker needs others."""
BATCHES = 4
"""Times a full batch of the worker that a batch has in flight if texts are generated."""
WAIT = 0.5
"""Part of `head_start` for which a job of a batch should wait in the queue."""
MIN_WAIT = 1.0
"""Seconds for which it may wait in any case."""


def inputs_per_job(spec: ModelSpec) -> int:
    """Most inputs of several lines in one job."""
    usual = GENERATED if _generates(spec) else MEDIA if spec.definition.input.has_media else USUAL
    return min(usual, spec.max_inputs)


def in_flight(spec: ModelSpec, settings: Settings) -> int:
    """Most inputs of a batch that are in the queue at once."""
    if _generates(spec):
        return min(WINDOWS * settings.window_items, BATCHES * spec.max_batch_items)
    inputs = WINDOWS * settings.window_items
    return inputs // 4 if spec.definition.input.has_media else inputs


def room(spec: ModelSpec, settings: Settings) -> Room:
    """Returns the room of a batch in the queue: at least for what a worker runs at once and one more job."""
    job = inputs_per_job(spec)
    patience = max(MIN_WAIT, WAIT * settings.head_start)
    return Room(spec.max_batch_items + job, in_flight(spec, settings), job, patience)


def chunks_at_once(spec: ModelSpec, settings: Settings) -> int:
    """Chunks of one input a line that are in flight at once."""
    return max(2, in_flight(spec, settings) // inputs_per_job(spec))


def _generates(spec: ModelSpec) -> bool:
    return spec.definition.generates is not nothing
