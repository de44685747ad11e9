"""The OpenAPI 3.1 description of Batchline's own interface, with schemas from the types that are sent.

It is the same for every set of models, so that a client can be generated once. The examples and
`GET /v1/models` show what the models accept; `api/v1/model_schemas.py` makes both. A test sends each example.
"""

from typing import Any

import msgspec

from api.problems.problem import Problem
from api.problems.statuses import STATUSES
from api.v1 import problems, request_bodies, webhook_schemas
from api.v1.caller_description import submitted_body
from api.v1.descriptions import DESCRIPTIONS, INTRODUCTION, USAGE_EXAMPLE
from api.v1.known_results import NDJSON
from api.v1.model_schemas import examples
from api.v1.schemas import ANSWERS
from jobs.catalog import ModelCatalog
from jobs.problem_kinds import TITLES
from jobs.schema import JobRequest, JobState
from jobs.validation import properties

COMPONENT = "#/components/schemas/{name}"


def json_content(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": COMPONENT.format(name=name)}}}


_OF_CALLERS = ("unknown-host", "unauthorized", "forbidden", "too-many-attempts")
"""Problems of every call that checks who calls: of all but health."""


def problem_answers(*kinds: str, public: bool = False) -> dict[int, Any]:
    """The problems that a call may answer with, by status, including those of every call."""
    answers: dict[int, Any] = {}
    for kind in (*kinds, *(() if public else _OF_CALLERS), "internal-error"):
        status, title = STATUSES[kind], TITLES[kind]
        answer = answers.setdefault(
            status,
            {
                "description": "",
                "content": {
                    problems.MEDIA_TYPE: {
                        "schema": {"$ref": COMPONENT.format(name="Problem")},
                        "examples": {},
                    }
                },
            },
        )
        answer["description"] += f"; `{kind}`" if answer["description"] else f"`{kind}`"
        answer["content"][problems.MEDIA_TYPE]["examples"][kind] = {
            "value": Problem(kind, f"{title[0].lower()}{title[1:]}").document()
        }
    return answers


def header(description: str) -> dict[str, Any]:
    """The description of a header of an answer."""
    return {"description": description, "schema": {"type": "string"}}


def parameter(name: str, description: str, example: str, **schema: str) -> dict[str, Any]:
    """The description of a header of a request."""
    return {
        "name": name,
        "in": "header",
        "description": description,
        "schema": {"type": "string", **schema},
        "example": example,
    }


_JOB_ID = {
    "name": "job_id",
    "in": "path",
    "description": "The job's id.",
    "required": True,
    "schema": {"type": "string"},
}
_WAIT = {
    "name": "wait",
    "in": "query",
    "description": "Maximum seconds to wait until the job is done. The server may have a lower limit.",
    "schema": {"type": "number", "minimum": 0},
}
_PREFER = parameter(
    "Prefer",
    "`wait=S`: answer when the job is done, or after S seconds. Invalid preferences are ignored (RFC 7240).",
    "wait=10",
)
_RETRY = {"Retry-After": header("Seconds after which to retry.")}
_APPLIED = {"Preference-Applied": header("`wait=S`, if the job was done within the wait.")}
_SUBMITTED = {
    "RateLimit-Policy": header("The limits of the key, if it has any: draft-ietf-httpapi-ratelimit-headers."),
    "RateLimit": header("What is left of them (`r`), and the seconds until there is more (`t`)."),
    "Location": header("The job's path."),
    "Idempotency-Replayed": header("`true` if an earlier request with the same key submitted the job."),
}
_LINKS = {
    name: {"operationId": name, "parameters": {"job_id": "$response.body#/id"}}
    for name in ("read_job", "read_results", "follow_job", "cancel_job")
}
"""The calls that a client can make for a submitted job."""

SUBMIT: dict[str, Any] = {
    "operation_id": "submit_job",
    "responses": {
        202: {
            "description": "Accepted.",
            "headers": _SUBMITTED,
            "content": json_content("Job"),
            "links": _LINKS,
        },
        200: {
            "description": "Done within the wait.",
            "headers": _SUBMITTED | _APPLIED,
            "content": json_content("Job"),
            "links": _LINKS,
        },
        **problem_answers(
            "invalid-request",
            "idempotency-mismatch",
            "unknown-model",
            "job-gone",
            "request-timeout",
            "payload-too-large",
            "unsupported-media-type",
            "cross-site",
            "queue-full",
            "too-many-requests",
            "server-busy",
            "redis-unavailable",
        ),
    },
    "openapi_extra": {
        "requestBody": {"required": True, "content": json_content("JobRequest") | request_bodies.CONTENT},
        "parameters": [
            _WAIT,
            *request_bodies.PARAMETERS,
            _PREFER,
            parameter(
                "Idempotency-Key",
                "1 to 255 printable characters. A repeated request with the same key returns the first job.",
                "order-4711",
                pattern="^[ -~\u00a1-\u00ac\u00ae-\u00ff]{1,255}$",
            ),
        ],
    },
}
WAITING = ("unknown-job", "job-gone", "invalid-request", "too-many-requests", "redis-unavailable")
"""Problems of calls that wait for a job or follow it."""
_READING = (*WAITING, "server-busy")
"""Problems of calls that answer with a job. Its results may be large."""

LIST: dict[str, Any] = {
    "operation_id": "list_jobs",
    "responses": {
        200: {"description": "A page of jobs.", "content": json_content("JobPage")},
        **problem_answers("invalid-request", "unknown-model", "redis-unavailable"),
    },
}
READ: dict[str, Any] = {
    "operation_id": "read_job",
    "responses": {
        200: {"description": "The job.", "headers": _APPLIED, "content": json_content("Job")},
        **problem_answers(*_READING),
    },
    "openapi_extra": {"parameters": [_JOB_ID, _WAIT, _PREFER]},
}
_NO_RESULTS = problem_answers("job-cancelled", "job-expired", *_READING)
RESULT: dict[str, Any] = {
    "operation_id": "read_results",
    "responses": {
        200: {
            "description": "The results; the job succeeded or failed.",
            "headers": _APPLIED,
            "content": json_content("Results"),
        },
        202: {
            "description": "The job, which is not done.",
            "headers": _RETRY,
            "content": json_content("Job"),
        },
        **_NO_RESULTS,
    },
    "openapi_extra": {"parameters": [_JOB_ID, _WAIT, _PREFER]},
}
KNOWN_RESULTS: dict[str, Any] = {
    "operation_id": "read_known_results",
    "responses": {
        200: {
            "description": "The known results after the first `from`; as JSON as many as fit, if the job is"
            " running.",
            "headers": {"X-Batchline-Status": header("The job's state before the first result was sent.")},
            "content": json_content("KnownResults")
            | {NDJSON: json_content("IndexedResult")["application/json"]},
        },
        **_NO_RESULTS,
    },
}
CANCEL: dict[str, Any] = {
    "operation_id": "cancel_job",
    "responses": {
        200: {
            "description": "The job: cancelled, or unchanged if it was done.",
            "content": json_content("Job"),
        },
        **problem_answers(*_READING),
    },
}
MODELS: dict[str, Any] = {
    "operation_id": "list_models",
    "responses": {
        200: {"description": "The models.", "content": json_content("ModelList")},
        **problem_answers("invalid-request", "redis-unavailable"),
    },
}
USAGE: dict[str, Any] = {
    "operation_id": "read_usage",
    "responses": {
        200: {
            "description": "The usage.",
            "content": {
                "application/json": {
                    **json_content("UsageReport")["application/json"],
                    "example": USAGE_EXAMPLE,
                }
            },
        },
        **problem_answers("invalid-request", "forbidden", "redis-unavailable"),
    },
}
_PUBLIC: dict[str, Any] = {"security": []}
LIVE: dict[str, Any] = {
    "operation_id": "live",
    "responses": {
        200: {"description": "The process responds.", "content": json_content("Health")},
        **problem_answers(public=True),
    },
    "openapi_extra": _PUBLIC,
}
READY: dict[str, Any] = {
    "operation_id": "ready",
    "responses": {
        200: {
            "description": "Jobs can be run. If `status` is `degraded`, `checks` has the reasons.",
            "content": json_content("Health"),
        },
        503: {
            "description": "Jobs cannot be run; `checks` has the reasons.",
            "content": json_content("Health"),
        },
        **problem_answers(public=True),
    },
    "openapi_extra": _PUBLIC,
}


def describe(described: dict[str, Any], catalog: ModelCatalog) -> None:
    """Completes FastAPI's description of the routes in `api/v1/`."""
    described["info"]["description"] = INTRODUCTION
    types = [JobRequest, *ANSWERS, *webhook_schemas.TYPES]
    _, schemas = msgspec.json.schema_components(types, ref_template=COMPONENT)
    results = {"type": "array", "items": {"$ref": COMPONENT.format(name="Result")}}
    schemas["Job"]["properties"]["results"] = {"anyOf": [results, {"type": "null"}], "default": None}
    schemas["JobRequest"]["properties"] |= properties(JobRequest)
    schemas |= request_bodies.schemas(schemas["JobRequest"])
    schemas["JobState"]["enum"] = [state.value for state in JobState]
    for name, fields in (DESCRIPTIONS | webhook_schemas.FIELDS).items():
        for field, description in fields.items():
            schemas[name]["properties"][field]["description"] = description
    described["components"]["schemas"].update(schemas)
    submitted_body(described)["examples"] = examples(catalog) if catalog.specs else {}
