"""Other sites' pages: which may call the API from a browser (CORS), and with which headers.

The middleware wraps everything that answers, including the express lane and refusals. Host names are checked
before it.
"""

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp

from api.problems.problem import Refusal

METHODS = ("GET", "POST", "DELETE", "HEAD")
EXPOSED_HEADERS = (
    *("location", "retry-after", "preference-applied", "idempotency-replayed"),
    *("ratelimit", "ratelimit-policy", "x-batchline-job"),
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
        allow_origins=_split(origins),
        allow_methods=METHODS,
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
        max_age=PREFLIGHT_SECONDS,
    )


def from_this_site(request: Request) -> bool:
    """Whether no browser, or a page of this server, sent the request."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")  # browsers without that header send it; other clients send neither
    return origin is None or origin.partition("://")[2] == request.headers.get("host")


def refuse_cross_site(request: Request, origins: str | None) -> None:
    """Raises Refusal if a page of another site sent the request, unless it is of one of these origins.

    A browser sends a form to any server without asking it first, and only keeps the answer from the page.
    """
    allowed = _split(origins or "")
    if from_this_site(request) or "*" in allowed or request.headers.get("origin", "").lower() in allowed:
        return
    raise Refusal(
        "cross-site", "the page of another site sent this; BATCHLINE_CORS_ORIGINS names the sites that may"
    )


def _split(origins: str) -> list[str]:
    return [origin.strip().lower() for origin in origins.split(",") if origin.strip()]
