"""The OpenAPI 3.1 descriptions, one for each dialect. FastAPI describes routes, the dialect adds the rest.

One description for all would mix the types of several vendors, and every generated client would have them.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.dialect import Dialect
from api.v1.caller_description import SECURITY_SCHEMES
from jobs.catalog import ModelCatalog

METHODS = frozenset({"get", "put", "post", "delete", "patch"})


class Descriptions:
    """The description of each dialect with routes that are described. Each is made once, when it is read."""

    def __init__(self, app: FastAPI, dialects: Iterable[Dialect], catalog: ModelCatalog) -> None:
        self._app = app
        self._catalog = catalog
        self._dialects = {each.name: each for each in dialects if _described(each)}
        self._made = cache(self._make)

    @property
    def titles(self) -> dict[str, str]:
        """Name of a dialect -> its title."""
        return {name: dialect.title for name, dialect in self._dialects.items()}

    def of(self, name: str, catalog: ModelCatalog | None = None) -> dict[str, Any]:
        """The description of a dialect. Raises KeyError if there is none with that name.

        `catalog` has the models of a caller who may not use all.
        """
        if name not in self._dialects:
            raise KeyError(name)
        return self._made(name) if catalog is None else self._make(name, catalog)

    def _make(self, name: str, catalog: ModelCatalog | None = None) -> dict[str, Any]:
        dialect = self._dialects[name]
        routes = [route for router in dialect.routers for route in router.routes]
        described = get_openapi(title=dialect.title, version=self._app.version, routes=routes)
        components = described.setdefault("components", {})
        components["securitySchemes"] = SECURITY_SCHEMES
        described["security"] = [{}, *({name: []} for name in SECURITY_SCHEMES)]
        schemas = components.setdefault("schemas", {})
        dialect.describe(described, catalog or self._catalog)
        for calls in described["paths"].values():
            for method, call in calls.items():  # FastAPI adds 422 if there are only path parameters
                if method in METHODS and "HTTPValidationError" in str(call["responses"].get("422")):
                    del call["responses"]["422"]
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return described


def _described(dialect: Dialect) -> bool:
    routes = (route for router in dialect.routers for route in router.routes)
    return any(isinstance(route, APIRoute) and route.include_in_schema for route in routes)
