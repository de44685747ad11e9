"""The scope that each route needs. A route that is not in TABLE is refused while keys are required.

Paths are written as in the routes. A test fails if a route is not declared here.
"""

import re
from typing import Literal, NamedTuple

from api.access.caller import Caller
from api.problems.problem import Refusal
from jobs.access.api_key import KeyScope

Need = KeyScope | Literal["key", "public"]
"""A scope; `key`: any key is enough; `public`: no key is needed."""

TABLE: dict[tuple[str, str], Need] = {
    # jobs
    ("POST", "/v1/jobs"): "submit",
    ("GET", "/v1/jobs"): "read",
    ("GET", "/v1/jobs/{job_id}"): "read",
    ("GET", "/v1/jobs/{job_id}/result"): "read",
    ("GET", "/v1/jobs/{job_id}/results"): "read",
    ("GET", "/v1/jobs/{job_id}/events"): "read",
    ("GET", "/v1/jobs/{job_id}/files/{name}"): "read",
    ("GET", "/v1/jobs/{job_id}/inputs/{place:path}"): "read",
    ("DELETE", "/v1/jobs/{job_id}"): "submit",
    # webhooks; who reads a secret can sign
    ("POST", "/v1/webhooks"): "submit",
    ("GET", "/v1/webhooks"): "read",
    ("GET", "/v1/webhooks/secret"): "submit",
    ("POST", "/v1/webhooks/secret/rotate"): "submit",
    ("GET", "/v1/webhooks/deliveries"): "read",
    ("GET", "/v1/webhooks/deliveries/{delivery_id}"): "read",
    ("POST", "/v1/webhooks/deliveries/{delivery_id}/retry"): "submit",
    ("GET", "/v1/webhooks/{webhook_id}"): "read",
    ("POST", "/v1/webhooks/{webhook_id}"): "submit",
    ("DELETE", "/v1/webhooks/{webhook_id}"): "submit",
    ("POST", "/v1/webhooks/{webhook_id}/test"): "submit",
    ("POST", "/v1/webhooks/{webhook_id}/secret/rotate"): "submit",
    # Hugging Face; a model's page is below, because its path fits these too
    ("GET", "/models/{name:path}/info"): "read",
    ("GET", "/models/{name:path}/health"): "key",
    ("POST", "/models/{name:path}/v1/chat/completions"): "submit",
    ("POST", "/models/{name:path}"): "submit",
    # rerank (Cohere, Jina)
    ("POST", "/v1/rerank"): "submit",
    ("POST", "/v2/rerank"): "submit",
    # text-embeddings-inference
    ("POST", "/embed"): "submit",
    ("POST", "/rerank"): "submit",
    ("POST", "/predict"): "submit",
    ("POST", "/similarity"): "submit",
    ("GET", "/info"): "read",
    ("GET", "/health"): "key",
    ("POST", "/tei/{name:path}/embed"): "submit",
    ("POST", "/tei/{name:path}/rerank"): "submit",
    ("POST", "/tei/{name:path}/predict"): "submit",
    ("POST", "/tei/{name:path}/similarity"): "submit",
    ("GET", "/tei/{name:path}/info"): "read",
    ("GET", "/tei/{name:path}/health"): "key",
    ("POST", "/tei/{name:path}"): "submit",
    # the server
    ("GET", "/v1/models"): "read",
    ("GET", "/v1/usage"): "read",
    # OpenAI's interface
    ("POST", "/v1/embeddings"): "submit",
    ("POST", "/v1/chat/completions"): "submit",
    ("POST", "/v1/completions"): "submit",
    ("POST", "/v1/moderations"): "submit",
    ("GET", "/v1/models/{name:path}"): "read",
    ("POST", "/v1/files"): "submit",
    ("GET", "/v1/files"): "read",
    ("GET", "/v1/files/{file_id}"): "read",
    ("DELETE", "/v1/files/{file_id}"): "submit",
    ("GET", "/v1/files/{file_id}/content"): "read",
    ("POST", "/v1/batches"): "submit",
    ("GET", "/v1/batches"): "read",
    ("GET", "/v1/batches/{batch_id}"): "read",
    ("POST", "/v1/batches/{batch_id}/cancel"): "submit",
    # the process
    ("GET", "/health/live"): "public",
    ("GET", "/health/ready"): "public",
    ("GET", "/metrics"): "admin",
    ("GET", "/openapi.json"): "key",
    ("GET", "/openapi/{name}.json"): "key",
    # pages
    ("GET", "/sign-in"): "public",
    ("POST", "/sign-in"): "public",
    ("POST", "/sign-out"): "key",
    ("GET", "/docs"): "key",
    ("GET", "/docs/{name}"): "key",
    ("GET", "/"): "read",
    ("GET", "/fragments/overview"): "read",
    ("GET", "/fragments/charts"): "admin",
    ("GET", "/fragments/recent"): "read",
    ("GET", "/fragments/served"): "read",
    ("GET", "/models/{name:path}"): "read",
    ("GET", "/owners"): "admin",
    ("GET", "/usage"): "read",
    ("GET", "/webhooks"): "read",
    ("POST", "/webhooks/deliveries/{delivery_id}/retry"): "submit",
    ("POST", "/webhooks/{webhook_id}/test"): "submit",
    ("GET", "/jobs"): "read",
    ("GET", "/jobs/{job_id}"): "read",
    ("GET", "/fragments/jobs/{job_id}"): "read",
    ("GET", "/fragments/answers/{job_id}"): "read",
    ("POST", "/jobs/{job_id}/cancel"): "submit",
    ("GET", "/batches"): "read",
    ("GET", "/batches/{batch_id}"): "read",
    ("GET", "/fragments/batches"): "read",
    ("GET", "/fragments/batches/{batch_id}"): "read",
    ("POST", "/batches/{batch_id}/cancel"): "submit",
    ("GET", "/try"): "submit",
    ("POST", "/try"): "submit",
    ("GET", "/try/example"): "submit",
    ("POST", "/submit"): "submit",
    ("GET", "/static/{path:path}"): "public",
}


class _Pattern(NamedTuple):
    path: "re.Pattern[str]"
    needs: dict[str, Need]
    """By method."""


class Permissions:
    """What each request needs, by its method and path."""

    def __init__(self, table: dict[tuple[str, str], Need] = TABLE) -> None:
        plain: dict[str, dict[str, Need]] = {}
        for (method, path), need in table.items():
            plain.setdefault(path, {})[method] = need
        self._patterns = [_Pattern(_pattern(path), needs) for path, needs in plain.items() if "{" in path]
        self._plain = {path: needs for path, needs in plain.items() if "{" not in path}

    def need(self, method: str, path: str) -> Need:
        """What the request needs. Raises Refusal if no such route is declared."""
        needs = self._plain.get(path)
        if needs is None:
            needs = next((each.needs for each in self._patterns if each.path.fullmatch(path)), None)
        if needs is None:
            raise Refusal("not-found", f"the path {path} does not exist")
        found = needs.get("GET" if method == "HEAD" else method)
        if found is None:
            allowed = ", ".join(sorted(needs))
            raise Refusal("method-not-allowed", f"{path} does not allow {method}", headers={"allow": allowed})
        return found


def allows(caller: Caller, need: Need) -> bool:
    """Whether the caller's key is enough."""
    return need in caller.scopes or "admin" in caller.scopes or need in ("key", "public")


def _pattern(path: str) -> "re.Pattern[str]":
    """The regular expression of a route's path, as Starlette reads it."""
    escaped = re.sub(r"\{\w+:path\}", "\0", path)
    parts = re.split(r"(\{\w+\}|\0)", escaped)
    return re.compile("".join(_part(part) for part in parts))


def _part(part: str) -> str:
    if part == "\0":
        return ".*"
    return "[^/]+" if part.startswith("{") else re.escape(part)
