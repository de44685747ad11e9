"""The description (OpenAPI 3.1) of Batchline's own interface: schemas from the very types that are sent, and
examples that work.

What the models that are served take is told by `api/v1/model_schemas.py`; a test sends each of its examples.
"""

from typing import Any

import msgspec

from api.problems.problem import Problem as Refused
from api.problems.statuses import STATUSES
from api.v1 import problems
from api.v1.descriptions import MEANINGS
from api.v1.model_schemas import accepted, examples
from api.v1.outcomes import NDJSON, KnownResults
from jobs.models import ModelCatalog
from jobs.problem_kinds import TITLES
from jobs.schema import Job, JobRequest, JobState
from jobs.validation import properties

COMPONENT = "#/components/schemas/{name}"

ABOUT = """Submit inputs as a *job*, get an id at once; micro-batches are formed behind it.

- `POST /v1/jobs` with `Prefer: wait=10` answers with the results if they are there within 10 s.
- `GET /v1/jobs/{id}?wait=10` waits for a job that was submitted before.
- `GET /v1/jobs/{id}/events` streams its states and its progress.
- `GET /v1/jobs/{id}/results?from=0` has what is known of a job's many inputs before it ends.
- Every error is `application/problem+json` (RFC 9457) with a stable `type`.
"""


class Problem(msgspec.Struct):
    """An error (RFC 9457). `type` is stable; `pointer` is the offending part's JSON pointer, if known."""

    type: str
    title: str
    status: int
    detail: str
    message: str
    instance: str | msgspec.UnsetType = msgspec.UNSET
    pointer: str | msgspec.UnsetType = msgspec.UNSET


class Result(msgspec.Struct):
    """What came of one input: `output`, exactly what the pipeline returns for it, or `error`."""

    output: Any = msgspec.UNSET
    error: Problem | msgspec.UnsetType = msgspec.UNSET


class Results(msgspec.Struct):
    """Aligned with the inputs."""

    results: list[Result]


class Health(msgspec.Struct):
    """`status` is `ready`, `degraded` or `not ready`. Each check has `ok`, whether it lets jobs be run; its
    `level`: `good`, `degraded` or `bad`; and where that is not `good` a `reason`.
    """

    status: str
    checks: dict[str, dict[str, bool | str]] | msgspec.UnsetType = msgspec.UNSET


class JobPage(msgspec.Struct):
    """Newest first, `results` always null; `next` is the cursor of the next page, null on the last."""

    jobs: list[Job]
    next: str | None


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": COMPONENT.format(name=name)}}}


def _refused(*kinds: str) -> dict[int, Any]:
    """The problems that a call may answer with, by status."""
    answers: dict[int, Any] = {}
    for kind in kinds:
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
    name: {"operationId": f"{name}_v1_jobs__job_id__{path}", "parameters": {"job_id": "$response.body#/id"}}
    for name, path in (
        ("read_job", "get"),
        ("read_result", "result_get"),
        ("follow_job", "events_get"),
        ("cancel_job", "delete"),
    )
}
"""What can be done with a job that was submitted; the ids are FastAPI's, of the handlers' names and paths."""

SUBMIT: dict[str, Any] = {
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
LIST: dict[str, Any] = {
    "responses": {
        200: {"description": "A page.", "content": _json("JobPage")},
        **_refused("invalid-request", "redis-unavailable"),
    }
}
READ: dict[str, Any] = {
    "responses": {
        200: {"description": "The job.", "headers": _APPLIED, "content": _json("Job")},
        **_refused("unknown-job", "job-gone", "invalid-request", "redis-unavailable"),
    },
    "openapi_extra": {"parameters": [_JOB_ID, _WAIT, _PREFER]},
}
_NO_RESULTS = _refused(
    "unknown-job", "job-cancelled", "job-expired", "job-gone", "invalid-request", "redis-unavailable"
)
RESULT: dict[str, Any] = {
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
    "responses": {
        200: {
            "description": "Those that are known, after the first `from`; of a running job as many as fit.",
            "content": _json("KnownResults") | {NDJSON: _json("IndexedResult")["application/json"]},
        },
        **_NO_RESULTS,
    },
}
CANCEL: dict[str, Any] = {
    "responses": {
        200: {"description": "The job, which is done or cancelled now.", "content": _json("Job")},
        **_refused("unknown-job", "job-gone", "redis-unavailable"),
    }
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
    "responses": {
        200: {
            "description": "Named as the states, or `progress` as `counts` move; the data is a Job.",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        204: {"description": "`Last-Event-ID` was that of the terminal state: there is nothing to come."},
        **_refused("unknown-job", "job-gone", "redis-unavailable"),
    },
    "openapi_extra": {
        "parameters": [_parameter("Last-Event-ID", "The id of the last event seen.", "running.0")]
    },
}
MODELS: dict[str, Any] = {
    "responses": {200: {"description": "The models."}, **_refused("redis-unavailable")},
}
LIVE: dict[str, Any] = {
    "responses": {200: {"description": "The process answers.", "content": _json("Health")}},
}
READY: dict[str, Any] = {
    "responses": {
        200: {
            "description": "Jobs can be run. Where `status` is `degraded`, `checks` says what is not well.",
            "content": _json("Health"),
        },
        503: {"description": "Jobs cannot be run; `checks` says why.", "content": _json("Health")},
    },
}


def describe(described: dict[str, Any], catalog: ModelCatalog) -> None:
    """Completes what FastAPI described of the routes in `api/v1/`."""
    described["info"]["description"] = ABOUT
    _, schemas = msgspec.json.schema_components(
        [JobRequest, Job, JobPage, Results, KnownResults, Health], ref_template=COMPONENT
    )
    results = {"type": "array", "items": {"$ref": COMPONENT.format(name="Result")}}
    schemas["Job"]["properties"]["results"] = {"anyOf": [results, {"type": "null"}], "default": None}
    schemas["JobRequest"]["anyOf"] = [
        accepted(spec, default=spec is catalog.default) for spec in catalog.specs.values()
    ]
    schemas["JobRequest"]["properties"] |= properties(JobRequest)
    schemas["JobState"]["enum"] = [state.value for state in JobState]
    for name, meanings in MEANINGS.items():
        for member, meaning in meanings.items():
            schemas[name]["properties"][member]["description"] = meaning
    described["components"]["schemas"].update(schemas)
    body = described["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    body["examples"] = examples(catalog)
