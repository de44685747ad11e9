"""Every error -> RFC 9457 problem+json, in one table; the only file that knows the status of an error.

What an exception means is in `jobs/errors.py`; here is only what a client is told. A browser that asks for a
page gets the same as one.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.pages.rendering import page
from jobs import errors
from jobs.monitoring.metrics import ApiMetrics

TYPE = "urn:batchline:problem:"
MEDIA_TYPE = "application/problem+json"
MAX_DETAIL = 500
"""Characters; a detail may quote what the client sent, which may be long."""


class Kind(NamedTuple):
    """One type of problem: its status, and its title, which never varies."""

    status: int
    title: str


KINDS = {
    "invalid-request": Kind(422, "The request cannot be run"),
    "idempotency-mismatch": Kind(422, "The idempotency key was used with another request"),
    "request-timeout": Kind(408, "The request came too slowly"),
    "payload-too-large": Kind(413, "The request is too large"),
    "unsupported-media-type": Kind(415, "The request is not JSON"),
    "cross-site": Kind(403, "The request comes from another site's page"),
    "unknown-host": Kind(421, "This host name is not served here"),
    "unknown-model": Kind(404, "No such model"),
    "unknown-job": Kind(404, "No such job"),
    "job-gone": Kind(410, "The job's lifetime is over"),
    "job-cancelled": Kind(409, "The job was cancelled"),
    "job-expired": Kind(410, "The job was not started in time"),
    "job-failed": Kind(500, "The job failed"),
    "queue-full": Kind(503, "The queue is full"),
    "server-busy": Kind(503, "The server is busy"),
    "redis-unavailable": Kind(503, "The queue cannot be reached"),
    "not-found": Kind(404, "Nothing is here"),
    "method-not-allowed": Kind(405, "Not with this method"),
    "bad-request": Kind(400, "The request is malformed"),
    "internal-error": Kind(500, "Something went wrong here"),
}

ERRORS: dict[type[Exception], str] = {
    errors.UnknownModel: "unknown-model",
    errors.InvalidRequest: "invalid-request",
    errors.IdempotencyMismatch: "idempotency-mismatch",
    errors.QueueFull: "queue-full",
    errors.JobNotFound: "unknown-job",
    errors.JobGone: "job-gone",
    errors.QueueUnavailable: "redis-unavailable",
}

FRAMEWORK = {404: "not-found", 405: "method-not-allowed"}
"""What Starlette itself refuses."""


class Refusal(Exception):
    """An error of HTTP alone, which the domain doesn't know."""

    def __init__(self, kind: str, detail: str, **extensions: Any) -> None:
        super().__init__(detail)
        self.kind = kind
        self.extensions = extensions


def document(kind: str, detail: str, **extensions: Any) -> dict[str, Any]:
    """The problem as a JSON object; extensions that are None are left out."""
    status, title = KINDS[kind]
    fields = {"type": TYPE + kind, "title": title, "status": status, "detail": detail[:MAX_DETAIL]}
    return fields | {name: value for name, value in extensions.items() if value is not None}


def response(
    kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **extensions: Any
) -> Response:
    body = msgspec.json.encode(document(kind, detail, **extensions))
    told = {"cache-control": "no-store", **(headers or {})}
    return Response(body, KINDS[kind].status, headers=told, media_type=MEDIA_TYPE)


def detail_of(error: Exception) -> str:
    """What a client is told of an error; where Redis is and what it said is not a client's business."""
    if isinstance(error, errors.QueueDamaged):
        return "another program's data lies under a key of the queue in Redis; the server's log names the key"
    if isinstance(error, errors.QueueUnavailable):
        return "Redis cannot be reached or takes no writes at the moment"
    return str(error)


def kind_of(error: Exception) -> str:
    """The kind of problem that an exception is."""
    if isinstance(error, Refusal):
        return error.kind
    return next(kind for cls, kind in ERRORS.items() if isinstance(error, cls))


def _answer(
    request: Request, kind: str, detail: str, headers: Mapping[str, str], **extensions: Any
) -> Response:
    """A page for a person at a browser, the problem for all others."""
    if not _browsing(request):
        return response(kind, detail, headers=headers, **extensions)
    status, title = KINDS[kind]
    answer = page("missing.html", status, title=title, detail=detail[:MAX_DETAIL], job_id="")
    answer.headers.update(headers)
    return answer


def _browsing(request: Request) -> bool:
    """Whether it asks for HTML, as scripts and htmx don't, and not of the API."""
    path = request.url.path
    return not path.startswith("/v1/") and "text/html" in request.headers.get("accept", "").lower()


async def retry_after(request: Request, error: Exception) -> dict[str, str]:
    """When a refused request is worth another try."""
    if isinstance(error, errors.QueueFull):
        return {"retry-after": str(await request.state.services.roster.drained_in(error.model, error.depth))}
    return {"retry-after": "1"} if kind_of(error) in ("redis-unavailable", "server-busy") else {}


async def on_error(request: Request, error: Exception) -> Response:
    """A domain error or a Refusal."""
    kind = kind_of(error)
    _count(request, kind)
    count_refused_admission(request.state.services.metrics, error)
    extensions = error.extensions if isinstance(error, Refusal) else {}
    return _answer(
        request,
        kind,
        detail_of(error),
        await retry_after(request, error),
        pointer=getattr(error, "pointer", None),
        instance=request.url.path if "job_id" in request.path_params else None,
        **extensions,
    )


async def on_invalid_parameter(request: Request, error: Exception) -> Response:
    """FastAPI's own validation of query parameters."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    where, name = fault["loc"][0], fault["loc"][-1]
    _count(request, "invalid-request")
    return response("invalid-request", f"{where} parameter {name!r}: {fault['msg']}", parameter=str(name))


async def on_framework_error(request: Request, error: Exception) -> Response:
    """What Starlette raises: an unknown path, a wrong method."""
    assert isinstance(error, HTTPException)
    kind = FRAMEWORK.get(error.status_code, "bad-request")
    _count(request, kind)
    detail = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.method} is not possible at {request.url.path}",
    }.get(error.status_code, error.detail)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if kind == "method-not-allowed":
        headers["allow"] = ", ".join(_allowed(request)) or headers.get("allow", "")
    return _answer(request, kind, detail, headers)


def _allowed(request: Request) -> list[str]:
    """All methods of the path; Starlette names only those of the first route that has it."""
    path = getattr(request.scope.get("route"), "path", None)
    routes = [route for route in iter_route_contexts(request.app.routes) if route.path == path]
    return sorted({method for route in routes for method in route.methods or ()})


def unexpected(request: Request) -> Response:
    """An error that nobody foresaw; the log has it, the client needn't."""
    _count(request, "internal-error")
    return _answer(request, "internal-error", HTTPStatus.INTERNAL_SERVER_ERROR.description, {})


def refused_host(request: Request) -> Response:
    """A name that `api/edge/hosts.py` does not let through."""
    _count(request, "unknown-host")
    return response("unknown-host", "name it in BATCHLINE_ALLOWED_HOSTS if it is meant to lead here")


EXPECTED: tuple[type[Exception], ...] = (Refusal, *ERRORS)
"""What `on_error` answers."""


def install(app: FastAPI) -> None:
    """Registers a handler for each kind of exception."""
    for cls in EXPECTED:
        app.add_exception_handler(cls, on_error)
    app.add_exception_handler(RequestValidationError, on_invalid_parameter)
    app.add_exception_handler(HTTPException, on_framework_error)


def _count(request: Request, kind: str) -> None:
    request.state.services.metrics.refused.labels(kind).inc()


def count_refused_admission(metrics: ApiMetrics, error: BaseException) -> None:
    """Counts a job that found its queue full, whichever way it came."""
    if isinstance(error, errors.QueueFull):
        metrics.admissions_refused.labels(error.model, error.reason).inc()
