"""When a delivery is tried again: after growing times, or when the receiver asks for it."""

import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

JITTER = 0.2
"""Share by which a time is longer or shorter, at random: what failed together is not tried together."""

MAX_RETRY_AFTER = 6 * 3600.0
"""Most seconds that a receiver's `Retry-After` delays a try."""


def wait(delays: Sequence[float], failed: int, retry_after: float | None) -> float | None:
    """Returns the seconds until the next try after so many failed ones; None if it was the last."""
    if failed > len(delays):
        return None
    seconds = delays[failed - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    return max(seconds, min(retry_after or 0.0, MAX_RETRY_AFTER))


def seconds_of(retry_after: str | None) -> float | None:
    """Returns the seconds of a `Retry-After` header, a number or a date; None if it is not valid."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
