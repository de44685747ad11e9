"""CORS: which origins' pages may call the API from a browser, and which headers they may send and read.

It surrounds all that answers, the express lane and refusals included. Host names are checked before it.
"""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

METHODS = ("GET", "POST", "DELETE", "HEAD")
READABLE = ("location", "retry-after", "preference-applied", "idempotency-replayed")
"""Headers of answers that a page may read beside those that it always may."""
REMEMBERED = 600
"""Seconds that a browser may remember what it may send."""


def allowing(origins: str, app: ASGIApp) -> ASGIApp:
    """The application, for pages of these origins too: separated by commas, or `*`.

    A page may send any header, as many clients send their own. It sends no cookies: there are none.
    """
    return CORSMiddleware(
        app,
        allow_origins=[origin.strip().lower() for origin in origins.split(",") if origin.strip()],
        allow_methods=METHODS,
        allow_headers=["*"],
        expose_headers=READABLE,
        max_age=REMEMBERED,
    )
