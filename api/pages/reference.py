"""/docs: the API reference as a page for each dialect, made from its description (`api/openapi.py`).

The page loads nothing from the internet.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.access.caller import models_of
from api.access.permissions import TABLE
from api.pages import curl_lines
from api.pages.rendering import page
from api.problems.problem import Refusal
from api.services import Services, Shared
from api.v1.interface import OwnInterface
from api.v1.model_schemas import parameters_schema
from api.v1.replies import reply
from jobs.catalog import ModelCatalog
from jobs.validation import wanted, without_null

router = APIRouter(include_in_schema=False)

_parameter = re.compile(r"\{(\w+)\}")
"""A parameter in a path."""

RESPONSE_SCHEMAS = (
    *("Job", "Counts", "Timings", "BatchSummary", "JobPage", "Results", "Result", "ResultError"),
    *("KnownResults", "IndexedResult"),
    *(
        "ModelList",
        "ModelObject",
        "Model",
        "ModelLimits",
        "ModelDialect",
        "ModelQueue",
        "ModelWorker",
        "ModelFailure",
    ),
    *("UsageReport", "UsageRow", "UsageJobs"),
    *("Health", "HealthCheck", "Problem"),
)
"""Schemas of responses and of their parts, in the order of the page."""

Schemas = dict[str, dict[str, Any]]


class Member(NamedTuple):
    """One member of a body or a response, or a parameter. Code is between backticks."""

    name: str
    type: str
    """The type and the default value, in words."""
    description: str
    context: str = ""
    """The model that it is for, or the part of the request that contains it."""


@router.get("/openapi.json")
async def own_description(request: Request, shared: Shared) -> Response:
    """The OpenAPI description of Batchline's own interface as JSON."""
    return reply(_described(request, shared, OwnInterface.name))


@router.get("/openapi/{name}.json")
async def description(name: str, request: Request, shared: Shared) -> Response:
    """The OpenAPI description of a dialect as JSON."""
    return reply(_described(request, shared, name))


@router.get("/docs")
async def own_docs(request: Request, shared: Shared) -> Response:
    return _docs(request, shared, OwnInterface.name)


@router.get("/docs/{name}")
async def docs(name: str, request: Request, shared: Shared) -> Response:
    return _docs(request, shared, name)


def docs_path(name: str) -> str:
    """The path of a dialect's page."""
    return "/docs" if name == OwnInterface.name else f"/docs/{name}"


def _docs(request: Request, shared: Services, name: str) -> Response:
    described = _described(request, shared, name)
    schemas: Schemas = described["components"]["schemas"]
    calls = [
        {
            "method": method,
            "path": path,
            "call": call,
            "curls": _curls(method, path, call, request),
            "parameters": list(_parameters(call, schemas)),
            "body": list(_body(call, schemas, shared.catalog)),
            "responses": list(_responses(call)),
        }
        for path, methods in described["paths"].items()
        for method, call in methods.items()
    ]
    responses = [
        (name, schemas[name]["description"], list(_members(name, schemas)))
        for name in RESPONSE_SCHEMAS
        if name in schemas
    ]
    return page(
        "docs.html",
        interface=name,
        interfaces=[
            (each, title, docs_path(each)) for each, title in request.app.descriptions.titles.items()
        ],
        own=OwnInterface.name,
        info=described["info"],
        calls=calls,
        schemas=responses,
        keys=shared.settings.auth == "keys",
    )


def _described(request: Request, shared: Services, name: str) -> dict[str, Any]:
    """The description of a dialect, with the models that the caller may use. Raises Refusal."""
    limited = models_of(request.scope) is not None
    try:
        found: dict[str, Any] = request.app.descriptions.of(name, shared.catalog if limited else None)
    except KeyError:
        raise Refusal("not-found", f"the path {request.url.path} does not exist") from None
    return found


def _parameters(call: dict[str, Any], schemas: Schemas) -> Iterator[Member]:
    for parameter in call.get("parameters", []):
        name, schema = parameter["name"], parameter["schema"]
        description = parameter.get("description", "The job's id." if name == "job_id" else "")
        yield Member(name, _type(schema, schemas) + _default(schema), description, parameter["in"])


def _body(call: dict[str, Any], schemas: Schemas, catalog: ModelCatalog) -> Iterator[Member]:
    """The members of a JSON body, and each model's parameters."""
    schema = _json(call).get("schema", {})
    request = schemas.get(_name(schema), schema)
    submits = request is schemas.get("JobRequest")
    for name, schema in request.get("properties", {}).items():
        needed = ", required" if name in request.get("required", []) else _default(schema)
        yield Member(name, _type(schema, schemas) + needed, schema.get("description", ""))
    for spec in catalog.specs.values() if submits else ():
        parameters = parameters_schema(spec)
        for name, schema in parameters["properties"].items():
            needed = ", required" if name in parameters.get("required", []) else _default(schema)
            yield Member(f"parameters.{name}", _type(schema, schemas) + needed, "", spec.name)


def _members(name: str, schemas: Schemas) -> Iterator[Member]:
    for member, schema in schemas[name]["properties"].items():
        yield Member(member, _type(schema, schemas), schema["description"])


def _responses(call: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Each status, its description, and its body's schema if that is in RESPONSE_SCHEMAS, else ""."""
    for status, response in sorted(call["responses"].items()):
        content: dict[str, Any] = next(iter(response.get("content", {}).values()), {})
        name = _name(content.get("schema", {}))
        yield status, response["description"], name if name in RESPONSE_SCHEMAS else ""


def _type(declared: dict[str, Any], schemas: Schemas) -> str:
    """The type of a value in words. Other schemas are named."""
    schema, nullable = without_null(declared)
    if not schema and (several := wanted(declared)):
        return several
    other, item = _name(schema), _name(schema.get("items", {}))
    if item:
        words = f"a list of `{item}`"
    elif "enum" in schema.get("items", {}):
        words = f"one or several of {wanted(schema['items'])}"
    elif other and "enum" not in schemas[other]:
        words = f"`{other}`"
    else:
        words = wanted(schemas[other] if other else schema) or "any JSON"
    return f"{words}, or null" if nullable else words


def _name(schema: Any) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _default(schema: dict[str, Any]) -> str:
    """The default value in words, or "" if there is none or it is empty."""
    default = schema.get("default")
    if default in (None, "", [], {}):
        return ""
    return f", by default {default if isinstance(default, str) else msgspec.json.encode(default).decode()}"


def _curls(method: str, path: str, call: dict[str, Any], request: Request) -> list[str]:
    """curl commands for a shell. The reader replaces the capitals in a path: curl reads braces."""
    public = TABLE.get((method.upper(), path)) == "public"
    path = _parameter.sub(lambda found: found[1].upper(), path)
    if method != "post":
        verb = "" if method == "get" else f"-X {method.upper()} "
        url = f"{str(request.base_url).rstrip('/')}{path}"
        key = "" if public else curl_lines.key(request)
        return [f"curl -s {verb}'{url}'{key}"]
    json = _json(call)
    if "example" in json:  # the calls of other dialects wait for the job's end
        return [curl_lines.posted(request, path, msgspec.json.encode(json["example"]).decode(), wait=None)]
    return [
        curl_lines.posted(request, path, msgspec.json.encode(example["value"]).decode())
        for example in json.get("examples", {}).values()
    ]


def _json(call: dict[str, Any]) -> dict[str, Any]:
    """The description of the JSON body, or {} if the call has none."""
    described: dict[str, Any] = call.get("requestBody", {}).get("content", {}).get("application/json", {})
    return described
