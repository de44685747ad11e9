"""The OpenAPI 3.1 description of Batchline's own interface, with schemas from the types that are sent.

It is the same for every set of models, so that a client can be generated once. The examples and
`GET /v1/models` show what the models accept; `api/v1/model_schemas.py` makes both. A test sends each example.
"""

from typing import Any

import msgspec

from api.problems.problem import Problem as Refused
from api.problems.statuses import STATUSES
from api.v1 import problems
from api.v1.descriptions import MEANINGS
from api.v1.model_schemas import examples
from api.v1.outcomes import NDJSON
from api.v1.schemas import ANSWERS
from jobs.models import ModelCatalog
from jobs.problem_kinds import TITLES
from jobs.schema import JobRequest, JobState
from jobs.validation import properties

COMPONENT = "#/components/schemas/{name}"

ABOUT = """Submit inputs as a *job* and get its id at once; the server runs jobs in micro-batches.

- `POST /v1/jobs` with `Prefer: wait=10` answers with the results if they are there within 10 s.
- `GET /v1/jobs/{id}?wait=10` waits for a job that was submitted before.
- `GET /v1/jobs/{id}/events` streams its states and its progress.
- `GET /v1/jobs/{id}/results?from=0` has what is known of a job's many inputs before it ends.
- `GET /v1/models` has a JSON Schema of what each model takes.
- Every error is `application/problem+json` (RFC 9457) with a stable `type`.
- A request may be compressed (`Content-Encoding: gzip`); large answers are, for clients that accept it.
"""


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": COMPONENT.format(name=name)}}}


def _refused(*kinds: str, anywhere: bool = True) -> dict[int, Any]:
    """The problems that a call may answer with, by status, including those of every call."""
    answers: dict[int, Any] = {}
    for kind in (*kinds, *(("unknown-host",) if anywhere else ()), "internal-error"):
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
            "value": problems.document(Refused(kind, f"{title[0].lower()}{title[1:]}"))
        }
    return answers


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _parameter(name: str, description: str, example: str, **schema: str) -> dict[str, Any]:
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
    "required": True,
    "schema": {"type": "string"},
}
_WAIT = {
    "name": "wait",
    "in": "query",
    "description": "Seconds to wait until the job is done; cut to the server's longest wait.",
    "schema": {"type": "number", "minimum": 0},
}
_PREFER = _parameter(
    "Prefer",
    "`wait=S`: answer when the job is done, or after S seconds. What cannot be understood is ignored, as"
    " RFC 7240 asks.",
    "wait=10",
)
_RETRY = {"Retry-After": _header("Seconds until another look is worth while.")}
_APPLIED = {"Preference-Applied": _header("`wait=S`, where the job was done within the wait.")}
_SUBMITTED = {
    "Location": _header("The job's path."),
    "Idempotency-Replayed": _header("`true` where an earlier request with the same key made the job."),
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
            "content": _json("Job"),
            "links": _LINKS,
        },
        200: {
            "description": "Done within the wait.",
            "headers": _SUBMITTED | _APPLIED,
            "content": _json("Job"),
            "links": _LINKS,
        },
        **_refused(
            "invalid-request",
            "idempotency-mismatch",
            "unknown-model",
            "job-gone",
            "request-timeout",
            "payload-too-large",
            "unsupported-media-type",
            "queue-full",
            "server-busy",
            "redis-unavailable",
        ),
    },
    "openapi_extra": {
        "requestBody": {"required": True, "content": _json("JobRequest")},
        "parameters": [
            _WAIT,
            _PREFER,
            _parameter(
                "Idempotency-Key",
                "1 to 255 printable characters; the same key and request give the same job.",
                "order-4711",
                pattern="^[ -~\u00a1-\u00ac\u00ae-\u00ff]{1,255}$",
            ),
        ],
    },
}
_READING = ("unknown-job", "job-gone", "invalid-request", "server-busy", "redis-unavailable")
"""Problems of calls that answer with a job. Its results may be large."""

LIST: dict[str, Any] = {
    "operation_id": "list_jobs",
    "responses": {
        200: {"description": "A page.", "content": _json("JobPage")},
        **_refused("invalid-request", "unknown-model", "redis-unavailable"),
    },
}
READ: dict[str, Any] = {
    "operation_id": "read_job",
    "responses": {
        200: {"description": "The job.", "headers": _APPLIED, "content": _json("Job")},
        **_refused(*_READING),
    },
    "openapi_extra": {"parameters": [_JOB_ID, _WAIT, _PREFER]},
}
_NO_RESULTS = _refused("job-cancelled", "job-expired", *_READING)
RESULT: dict[str, Any] = {
    "operation_id": "read_results",
    "responses": {
        200: {
            "description": "It succeeded or failed.",
            "headers": _APPLIED,
            "content": _json("Results"),
        },
        202: {"description": "It is not done.", "headers": _RETRY, "content": _json("Job")},
        **_NO_RESULTS,
    },
    "openapi_extra": {"parameters": [_JOB_ID, _WAIT, _PREFER]},
}
OUTCOMES: dict[str, Any] = {
    "operation_id": "read_known_results",
    "responses": {
        200: {
            "description": "Those that are known, after the first `from`; of a running job as many as fit.",
            "content": _json("KnownResults") | {NDJSON: _json("IndexedResult")["application/json"]},
        },
        **_NO_RESULTS,
    },
}
CANCEL: dict[str, Any] = {
    "operation_id": "cancel_job",
    "responses": {
        200: {"description": "The job, which is done or cancelled now.", "content": _json("Job")},
        **_refused(*_READING),
    },
}
_EVENT = {
    "description": "Each event of the stream.",
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"anyOf": [{"$ref": COMPONENT.format(name="JobState")}, {"const": "progress"}]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": COMPONENT.format(name="Job")},
        },
        "retry": {"type": "integer"},
    },
}
EVENTS: dict[str, Any] = {
    "operation_id": "follow_job",
    "responses": {
        200: {
            "description": "Named as the states, or `progress` as `counts` move; the data is a Job.",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        204: {"description": "`Last-Event-ID` was that of the terminal state: there is nothing to come."},
        **_refused("unknown-job", "job-gone", "invalid-request", "redis-unavailable"),
    },
    "openapi_extra": {
        "parameters": [_parameter("Last-Event-ID", "The id of the last event seen.", "running.0")]
    },
}
MODELS: dict[str, Any] = {
    "operation_id": "list_models",
    "responses": {
        200: {"description": "The models.", "content": _json("ModelList")},
        **_refused("invalid-request", "redis-unavailable"),
    },
}
LIVE: dict[str, Any] = {
    "operation_id": "live",
    "responses": {
        200: {"description": "The process answers.", "content": _json("Health")},
        **_refused(anywhere=False),
    },
}
READY: dict[str, Any] = {
    "operation_id": "ready",
    "responses": {
        200: {
            "description": "Jobs can be run. Where `status` is `degraded`, `checks` says what is not well.",
            "content": _json("Health"),
        },
        503: {"description": "Jobs cannot be run; `checks` says why.", "content": _json("Health")},
        **_refused(anywhere=False),
    },
}


def describe(described: dict[str, Any], catalog: ModelCatalog) -> None:
    """Completes FastAPI's description of the routes in `api/v1/`."""
    described["info"]["description"] = ABOUT
    _, schemas = msgspec.json.schema_components([JobRequest, *ANSWERS], ref_template=COMPONENT)
    results = {"type": "array", "items": {"$ref": COMPONENT.format(name="Result")}}
    schemas["Job"]["properties"]["results"] = {"anyOf": [results, {"type": "null"}], "default": None}
    schemas["JobRequest"]["properties"] |= properties(JobRequest)
    schemas["JobState"]["enum"] = [state.value for state in JobState]
    for name, meanings in MEANINGS.items():
        for field, meaning in meanings.items():
            schemas[name]["properties"][field]["description"] = meaning
    described["components"]["schemas"].update(schemas)
    body = described["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    body["examples"] = examples(catalog)
