"""How many inputs of a model failed recently, and whether these are too many.

Clients may send any inputs, so failed inputs make the server degraded but never unready.
`deploy/prometheus/alerts.yml` has the same bounds.
"""

from jobs.monitoring.history import EVERY
from jobs.monitoring.work import Work

WINDOW = 300.0
"""Seconds of recent work that are considered."""

MIN_SHARE = 0.1
"""Minimum share of failed inputs at which a model is failing."""

MIN_INPUTS = 20
"""Minimum inputs for a meaningful share."""

MIN_ALL_FAILED = 3
"""Minimum inputs if all of them failed."""

SAMPLES = int(WINDOW / EVERY) + 2
"""Samples of the history that cover WINDOW, and one more at each end: a sample covers the time before it."""


def is_failing(work: Work) -> bool:
    """Whether too many inputs failed. `work` is the model's work within WINDOW."""
    if work.inputs_failed >= work.inputs:
        return work.inputs_failed >= MIN_ALL_FAILED
    return work.inputs >= MIN_INPUTS and work.inputs_failed >= MIN_SHARE * work.inputs


def message(model: str, work: Work) -> str:
    """The message about a failing model, as a sentence without its full stop."""
    period = f"in the last {WINDOW / 60:g} minutes"
    if work.inputs_failed >= work.inputs:
        return f"All {work.inputs:,} inputs of {model} failed {period}"
    share = work.inputs_failed / work.inputs
    return f"{work.inputs_failed:,} of {work.inputs:,} inputs of {model} failed {period} ({share:.0%})"
