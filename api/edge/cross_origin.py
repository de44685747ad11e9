"""CORS: which origins may call the API from a browser, and which headers they may send and read.

This middleware wraps everything that answers, including the express lane and refusals. Host names are checked
before it.
"""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

METHODS = ("GET", "POST", "DELETE", "HEAD")
EXPOSED_HEADERS = (
    *("location", "retry-after", "preference-applied", "idempotency-replayed"),
    *("ratelimit", "ratelimit-policy"),
)
"""Headers of answers that a page may read, in addition to those that CORS always allows."""
PREFLIGHT_SECONDS = 600
"""Seconds for which a browser may cache the answer to a preflight request."""


def with_cors(origins: str, app: ASGIApp) -> ASGIApp:
    """The application with CORS for these origins, separated by commas, or `*` for all.

    A page may send any header, because many clients send their own. Cookies are not allowed: a session is for
    our own pages.
    """
    return CORSMiddleware(
        app,
        allow_origins=[origin.strip().lower() for origin in origins.split(",") if origin.strip()],
        allow_methods=METHODS,
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
        max_age=PREFLIGHT_SECONDS,
    )
