"""The express lane: calls handlers of the most frequent routes directly, without FastAPI.

FastAPI declares and describes these routes like all others. It answers requests that the lane does not take,
such as HEAD. FastAPI's way to a handler (ten middlewares and wrappers, a match with each route, dependencies)
takes longer than these handlers: docs/decisions/011-express-lane.md.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from api.problems.exceptions import EXPECTED

Refuse = Callable[[Request, Exception], Awaitable[Response]]
"""Converts an exception to a response."""


class Direct(APIRoute):
    """A route whose handler takes only the request and returns the response."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        return self.endpoint


class Express:
    """An ASGI application that answers the direct routes. Call `takes` first."""

    def __init__(self, routes: Iterable[BaseRoute], refuse: Refuse) -> None:
        self._refuse = refuse
        direct = [route for route in routes if isinstance(route, Direct)]
        self._plain = {
            (method, route.path): route
            for route in direct
            if not route.param_convertors
            for method in route.methods or ()
        }
        self._patterns = [(route, route.path_regex) for route in direct if route.param_convertors]

    def takes(self, scope: Scope) -> bool:
        """Whether the request is for a direct route. If so, adds the route to the scope as Starlette does."""
        method, path = scope["method"], scope["path"]
        route = self._plain.get((method, path))
        if route is not None:
            scope["route"], scope["path_params"] = route, {}
            return True
        for route, pattern in self._patterns:
            if method in (route.methods or ()) and (found := pattern.match(path)):
                scope["route"], scope["path_params"] = route, found.groupdict()
                return True
        return False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response: Response = await scope["route"].endpoint(request)
        except EXPECTED as error:
            response = await self._refuse(request, error)
        await response(scope, receive, send)
