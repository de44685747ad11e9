"""Byte ranges of a request (RFC 9110, section 14), which a browser's player needs: single ranges only."""

import re

from starlette.requests import Request

from api.problems.problem import Refusal

_RANGE = re.compile(r"bytes\s*=\s*(?:(\d{1,18})\s*-\s*(\d{1,18})?|-\s*(\d{1,18}))\s*")


def requested(request: Request, size: int) -> tuple[int, int] | None:
    """Returns the start and the end (exclusive) of the requested part of `size` bytes; None for all of them.

    A header that is malformed, or has several ranges, is ignored, as the RFC allows. So is one with If-Range:
    answers have no validator with which it could match. Raises Refusal (416) if there is no such part.
    """
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if found is None or "if-range" in request.headers:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise Refusal(
            "range-not-satisfiable",
            f"range: there are only {size} bytes",
            headers={"content-range": f"bytes */{size}"},
        )
    return start, end
