"""The OpenAPI 3.1 description of all dialects. FastAPI describes the routes, each dialect adds the rest."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.dialect import Dialect
from jobs.catalog import ModelCatalog


def describe(app: FastAPI, dialects: Iterable[Dialect], catalog: ModelCatalog) -> dict[str, Any]:
    described = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas = described.setdefault("components", {}).setdefault("schemas", {})
    for dialect in dialects:
        dialect.describe(described, catalog)
    for calls in described["paths"].values():
        for call in calls.values():  # FastAPI adds 422 if there are only path parameters
            if "HTTPValidationError" in str(call["responses"].get("422")):
                del call["responses"]["422"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return described
