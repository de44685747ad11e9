"""Reads how long a client will wait: from the query parameter `wait`, or the header `Prefer` (RFC 7240)."""

import math
import re
from typing import NamedTuple

from starlette.requests import Request

from api.problems.problem import Refusal
from api.services import services
from api.v1.query import check_names


class Wait(NamedTuple):
    """Seconds that the client will wait, and whether it sent them in `Prefer`."""

    seconds: float
    preferred: bool

    @property
    def applied(self) -> dict[str, str]:
        """The header that confirms the client's preference."""
        return {"preference-applied": f"wait={self.seconds:g}"} if self.preferred else {}


def requested_wait(request: Request, also: tuple[str, ...] = ()) -> Wait:
    """The wait of the query parameter, or else of `Prefer: wait=S`. Invalid parts of `Prefer` are ignored.

    Raises Refusal if `wait` is not a number of seconds, or for another query parameter that is not in `also`.
    """
    max_wait = services(request).settings.max_wait
    query: bytes = request.scope["query_string"]
    if query and (given := _wait_of(query, request, also)) is not None:
        return Wait(min(_seconds(given), max_wait), preferred=False)
    preferred = preferred_wait(request.headers.getlist("prefer"))
    if preferred is None:
        return Wait(0.0, preferred=False)
    return Wait(min(preferred, max_wait), preferred=True)


def _wait_of(query: bytes, request: Request, also: tuple[str, ...]) -> str | None:
    """The value of `wait`. Usually it is the only parameter and a plain number, which is parsed faster."""
    if (found := _PLAIN_WAIT.fullmatch(query)) is not None:
        return found[1].decode()
    check_names(request, ("wait", *also))
    return request.query_params.get("wait")


def _seconds(given: str) -> float:
    try:
        seconds = float(given.encode("ascii"))  # float() accepts digits of other alphabets
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
    """The first `wait` in the `Prefer` headers (RFC 7240, section 4.3), in seconds."""
    for preference in ",".join(headers).split(",") if headers else ():
        if found := _WAIT.fullmatch(preference):
            return float(found[2])
    return None
