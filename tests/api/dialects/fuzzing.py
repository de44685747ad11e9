"""Schemathesis' configuration for the dialects, and a check. `test_fuzz.py` runs it."""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response

CONFIGURATION = """
hooks = "tests.api.dialects.fuzzing"
cache.enabled = false
request-timeout = 60

# a description cannot say which model has which task, and which settings fit together
[checks.positive_data_acceptance]
enabled = false

# without a worker no call is answered in time, and no model is healthy
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", 503, 504]

# TEI answers 424 if the model has another task, whatever else is wrong
[checks.negative_data_rejection]
expected-statuses = ["400", "404", "405", "413", "415", "422", "424", "5xx"]

# GET is the model's page, which is in no description
[[operations]]
include-path = "/models/{name}"
checks.allow_header_conformance.enabled = false
checks.unsupported_method.enabled = false
"""


@schemathesis.check
def an_error_has_a_sentence(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """In the form of its dialect."""
    if response.status_code >= 400 and case.method != "HEAD":
        found = response.json()
        error = found.get("error", found.get("message", found.get("detail")))
        sentence = error.get("message") if isinstance(error, dict) else error
        assert isinstance(sentence, str), found
        assert sentence, found
    return None
