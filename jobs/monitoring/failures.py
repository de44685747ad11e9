"""Failures: the latest reasons why inputs have no output, as reported in a heartbeat."""

import msgspec

from jobs.problem_kinds import TITLES

MAX_REASONS = 5
"""Maximum number of reasons that a worker keeps."""

MAX_DETAIL = 160
"""Maximum characters of a detail, so that a heartbeat or a record without results stays small."""


class FailureReason(msgspec.Struct, array_like=True):
    """A reason why inputs failed recently: failures with the same kind and detail are one reason."""

    kind: str
    """One of `problem_kinds.FAILURES`; workers of other versions may have others."""
    detail: str
    inputs: int
    """Inputs that failed for this reason since it entered the list."""
    job: str
    """The newest job with such an input."""
    at: float
    """End of that job, in Unix seconds by the server's clock."""

    @property
    def title(self) -> str:
        return TITLES.get(self.kind, self.kind)


def shortened(detail: str) -> str:
    """Returns the first MAX_DETAIL characters."""
    return detail if len(detail) <= MAX_DETAIL else f"{detail[:MAX_DETAIL]} …"


def note(latest: list[FailureReason], kind: str, detail: str, inputs: int, job: str, at: float) -> None:
    """Adds a reason to the list, oldest first, and keeps the MAX_REASONS newest."""
    detail = shortened(detail)
    known = next((each for each in latest if (each.kind, each.detail) == (kind, detail)), None)
    if known is not None:
        latest.remove(known)
        inputs += known.inputs
    latest.append(FailureReason(kind, detail, inputs, job, at))
    del latest[:-MAX_REASONS]


def newest(found: list[FailureReason]) -> list[FailureReason]:
    """Returns the reasons of several workers as one list, newest first, at most MAX_REASONS."""
    merged: list[FailureReason] = []
    for each in sorted(found, key=lambda reason: reason.at):
        note(merged, each.kind, each.detail, each.inputs, each.job, each.at)
    return merged[::-1]
