"""Middleware of every request: measures latency, adds common headers, handles unexpected errors."""

import time

import structlog
from prometheus_client import Histogram
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import rate_limits
from api.edge import bodies
from api.edge.express import Refuse
from api.edge.memory_budget import CutOff
from jobs.monitoring.metrics import ApiMetrics

log = structlog.get_logger(__name__)

NO_SNIFFING = (b"x-content-type-options", b"nosniff")

_HEAD = "batchline.head"
"""The key in the scope of a request that was HEAD: routes have GET only."""


def is_head(request: Request) -> bool:
    """Whether only the headers of the answer are sent."""
    return _HEAD in request.scope


class Edge:
    """ASGI middleware. Kept minimal, because every request passes through it."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics, refuse: Refuse) -> None:
        self.app = app
        self.metrics = metrics
        self.refuse = refuse
        self._latencies: dict[tuple[str, str, int], Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET", _HEAD: True}  # the server omits the body
        start = time.perf_counter()
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), NO_SNIFFING, *rate_limits.noted(scope)]
                self._observe(scope, message["status"], time.perf_counter() - start)
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except (ClientDisconnect, CutOff):
            pass  # the client disconnected while sending, or stalled while receiving
        except Exception as error:
            job_id = scope.get("path_params", {}).get("job_id")
            fields = {"job": job_id} if job_id else {}
            log.exception("unexpected error", method=scope["method"], path=scope["path"], **fields)
            if started:
                raise  # uvicorn then closes the connection, so that the client detects the incomplete answer
            response = await self.refuse(Request(scope), error)
            await response(scope, receive, answer)
        finally:
            bodies.release(scope)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        key = (scope["method"], getattr(scope.get("route"), "path", None) or "none", status)
        latency = self._latencies.get(key)
        if latency is None:
            latency = self._latencies[key] = self.metrics.latency.labels(*key)
        latency.observe(seconds)
