"""Failing: how many inputs of a model failed lately, and whether that is too many.

Clients may send what they like, so failed inputs never make the server unready; they make it degraded.
`deploy/prometheus/alerts.yml` has the same bounds.
"""

from jobs.monitoring.history import EVERY
from jobs.monitoring.work import Work

WINDOW = 300.0
"""Seconds that count."""

SHARE = 0.1
"""Share of failed inputs from which on a model is failing."""

ENOUGH = 20
"""Inputs below which a share says nothing."""

FEW = 3
"""Inputs that are enough where all of them failed."""

SAMPLES = int(WINDOW / EVERY) + 2
"""Samples of the history that cover WINDOW: one more at each end, for each is of the time before it."""


def is_failing(work: Work) -> bool:
    """`work` is what was done within WINDOW."""
    if work.inputs_failed >= work.inputs:
        return work.inputs_failed >= FEW
    return work.inputs >= ENOUGH and work.inputs_failed >= SHARE * work.inputs


def words(model: str, work: Work) -> str:
    """What is reported of a failing model, as a sentence without its full stop."""
    lately = f"in the last {WINDOW / 60:g} minutes"
    if work.inputs_failed >= work.inputs:
        return f"All {work.inputs:,} inputs of {model} failed {lately}"
    share = work.inputs_failed / work.inputs
    return f"{work.inputs_failed:,} of {work.inputs:,} inputs of {model} failed {lately} ({share:.0%})"
