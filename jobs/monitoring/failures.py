"""Failures: why inputs have no output, by kind; the latest reasons, as a heartbeat reports them."""

import msgspec

from jobs.problem_kinds import TITLES

LATEST = 5
"""Reasons that a worker keeps."""

MOST_DETAIL = 160
"""Characters of a detail that it keeps: a heartbeat stays below a few KiB."""


class FailureReason(msgspec.Struct, array_like=True):
    """Why inputs failed lately: those with the same kind and detail count as one."""

    kind: str
    """One of `problem_kinds.FAILURES`; an older or newer worker may have others."""
    detail: str
    inputs: int
    """Inputs that failed for this reason, since it was the last time none of LATEST."""
    job: str
    """The newest job with such an input."""
    at: float
    """When that job ended, in Unix seconds by the server's clock."""

    @property
    def title(self) -> str:
        return TITLES.get(self.kind, self.kind)


def note(latest: list[FailureReason], kind: str, detail: str, inputs: int, job: str, at: float) -> None:
    """Adds to the reasons, oldest first, and keeps LATEST of them."""
    detail = detail if len(detail) <= MOST_DETAIL else f"{detail[:MOST_DETAIL]} …"
    known = next((each for each in latest if (each.kind, each.detail) == (kind, detail)), None)
    if known is not None:
        latest.remove(known)
        inputs += known.inputs
    latest.append(FailureReason(kind, detail, inputs, job, at))
    del latest[:-LATEST]


def newest(found: list[FailureReason]) -> list[FailureReason]:
    """The reasons of several workers as one list: the newest first, LATEST at most."""
    merged: list[FailureReason] = []
    for each in sorted(found, key=lambda reason: reason.at):
        note(merged, each.kind, each.detail, each.inputs, each.job, each.at)
    return merged[::-1]
