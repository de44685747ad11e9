"""Schemathesis' configuration for this API, and a check. `v1/test_fuzz.py` runs it.

All checks are on, except where a schema cannot express the rule.
"""

import os
import re
from typing import Any

import httpx
import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.specs.openapi.checks import positive_data_acceptance

from jobs.problem_kinds import TYPE

CONFIGURATION = """
hooks = "tests.api.fuzzing"
cache.enabled = false
request-timeout = 60
# a stream of a job that waits has one event, and does not end
max-stream-events = 1

# `valid_data_is_accepted` stands for it
[checks.positive_data_acceptance]
enabled = false

# without a worker it is not ready, and must say so
[[operations]]
include-path = "/health/ready"
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", 503]

# without a worker a call of another interface is not answered in time
[[operations]]
include-path-regex = "^/v1/(embeddings|moderations|completions|chat/completions)$"
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", 504]

# DELETE cancels: the job stays to be read
[[operations]]
include-path-regex = "^/v1/jobs/"
checks.use_after_free.enabled = false
"""

SERVER = "FUZZED_SERVER"
"""The environment variable that has the server's URL."""

ADMIN_KEY = "FUZZED_ADMIN_KEY"
"""A key that reads the models, if the server requires one."""

SCOPES = "FUZZED_SCOPES"
"""The scopes of the sent key, `none` if no accepted one is sent; not set for a server without keys."""

STATE = {TYPE + kind for kind in ("idempotency-mismatch", "job-gone", "job-expired")}
"""Refusals for what happened before."""

UNTOLD = re.compile(
    "cursor: not one that this server gave out"
    "|cursor: the list does not contain this delivery"
    r"|(webhook\.)?url: |an owner may have \d+ endpoints|the endpoint is disabled"
    "|an integer has more than 64 bits"
    "|parameters/[a-z_]+: give a whole number.*, not a number with a point"
    "|query parameter '(from|to)': .*(before 'to'|at most 90 days|not between 1970|no such date)"
)
"""Refusals whose values no schema can name: a cursor was a job's id once; 1e20 and 2.0 are integers; two
times that are valid are no period; an address must be public."""


OTHERS = re.compile("/v1/(embeddings|moderations|completions|chat/completions)")
"""Calls of other interfaces, each for models of one task."""

RAW, FORM = "application/octet-stream", "multipart/form-data"
UNDESCRIBED = {RAW, FORM}
"""Bodies whose description is the same for models that read texts, JSON or media."""


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """What each model takes is not in the description, but in `GET /v1/models`."""
    headers = {"x-api-key": os.environ[ADMIN_KEY]} if ADMIN_KEY in os.environ else {}
    models = httpx.get(f"{os.environ[SERVER]}/v1/models", headers=headers).json()["models"]
    request = raw_schema["components"]["schemas"]["JobRequest"]
    request["anyOf"] = [model["request"] for model in models]
    form = raw_schema["components"]["schemas"]["JobForm"]
    form["properties"]["model"] = {"enum": [model["name"] for model in models]}


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Some query parameters are only for a medium as the body, which a schema cannot express."""
    if case.path == "/v1/jobs" and case.method == "POST" and case.media_type != RAW:
        case.query = {name: value for name, value in (case.query or {}).items() if name == "wait"}


@schemathesis.check
def valid_data_is_accepted(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """Schemathesis' own positive_data_acceptance, less the refusals that a description cannot foresee."""
    if OTHERS.fullmatch(case.path) and response.status_code == 400:
        return None  # which settings fit together, and which model has which task
    if response.headers.get("content-type") == ["application/problem+json"]:
        problem = response.json()
        if SCOPES in os.environ and response.status_code in REFUSED:
            return None  # `each_call_needs_its_scope` checks these
        if case.media_type in UNDESCRIBED and response.status_code == 422:
            return None
        if problem["type"] in STATE or UNTOLD.match(problem["detail"]):
            return None
    return positive_data_acceptance(ctx, response, case)


REFUSED = {401, 403, 429}
CALLS = {"POST": "submit", "DELETE": "submit", "GET": "read"}
"""What a call needs."""


@schemathesis.check
def each_call_needs_its_scope(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """A call is refused if, and only if, the sent key does not allow it."""
    sent = os.environ.get(SCOPES)
    if sent is None or case.method not in CALLS or case.path.startswith("/health/"):
        return None
    needed = "submit" if case.path == "/v1/webhooks/secret" else CALLS[case.method]
    allowed = sent == "admin" or needed in sent.split(",")
    status = response.status_code
    if sent == "none":
        assert status in (401, 429), f"{status} without an accepted key"
    elif not allowed:  # or there is no such route
        assert status in (403, 404, 405), f"{status} with a key for {sent}"
    else:
        others = case.path in ("/v1/usage", "/v1/webhooks/deliveries") and sent != "admin"
        assert status not in REFUSED or (others and status == 403), f"{status} with a key for {sent}"
    return None
