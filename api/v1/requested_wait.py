"""How long a client is ready to wait: the query parameter `wait`, or else the header `Prefer` (RFC 7240)."""

import math
import re
from typing import NamedTuple

from starlette.requests import Request

from api.problems.problem import Refusal
from api.services import services
from api.v1.query import check_names


class Wait(NamedTuple):
    """Seconds that the client will wait, and whether it said so by `Prefer`."""

    seconds: float
    preferred: bool

    @property
    def applied(self) -> dict[str, str]:
        """The header that tells a client its preference was honoured."""
        return {"preference-applied": f"wait={self.seconds:g}"} if self.preferred else {}


def requested_wait(request: Request) -> Wait:
    """The query parameter, or else `Prefer: wait=S`; what cannot be understood of `Prefer` is ignored.

    Raises Refusal for a parameter that is no number of seconds, and for any other parameter.
    """
    longest = services(request).settings.max_wait
    query: bytes = request.scope["query_string"]
    if query and (given := _wait_of(query, request)) is not None:
        return Wait(min(_seconds(given), longest), preferred=False)
    preferred = preferred_wait(request.headers.getlist("prefer"))
    if preferred is None:
        return Wait(0.0, preferred=False)
    return Wait(min(preferred, longest), preferred=True)


def _wait_of(query: bytes, request: Request) -> str | None:
    """As a rule it is the only parameter, and plain."""
    if (found := _PLAIN_WAIT.fullmatch(query)) is not None:
        return found[1].decode()
    check_names(request, ("wait",))
    return request.query_params.get("wait")


def _seconds(given: str) -> float:
    try:
        seconds = float(given.encode("ascii"))  # other alphabets have digits too
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise Refusal(
            "invalid-request", "query parameter 'wait': give a number of seconds, 0 or more", parameter="wait"
        )
    return seconds


_PLAIN_WAIT = re.compile(rb"wait=(\d{1,9}(?:\.\d{1,9})?)")
_WAIT = re.compile(r'\s*wait\s*=\s*("?)(\d{1,9}(?:\.\d{1,9})?)\1\s*(?:;.*)?', re.IGNORECASE)


def preferred_wait(headers: list[str]) -> float | None:
    """The `wait` of `Prefer` headers (RFC 7240, section 4.3); the first one counts."""
    for preference in ",".join(headers).split(",") if headers else ():
        if found := _WAIT.fullmatch(preference):
            return float(found[2])
    return None
