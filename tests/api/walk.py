"""WALK: requests for every route of the application, for the test that sends them as somebody else."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.ledger import MODEL

UPLOADED = f"file-{'a' * 32}"
"""The id of Alice's uploaded file."""

FORM = {"text": "b\nc", "mode": "lines", "model": MODEL}


class Ask(NamedTuple):
    """A query with `{id}` or `{tail}` of a job, and how the request is sent."""

    query: str = ""
    how: Mapping[str, Any] = MappingProxyType({})


def asks(*queries: str) -> list[Ask]:
    return [Ask(query) for query in queries]


WALK: dict[tuple[str, str], list[Ask]] = {
    ("POST", "/v1/jobs"): [
        Ask("", {"json": {"inputs": "x"}}),
        Ask("", {"json": {"inputs": "x"}, "headers": {"idempotency-key": "key"}}),
        Ask("?wait=0.01", {"json": {"inputs": "x"}}),
        Ask("", {"files": {"inputs": (None, "x")}}),
        Ask(
            f"?model={MODEL}&parameters={{}}&priority=low&expires_in=60&result_ttl=60&keep_inputs=true&stream=true&webhook=https://example.org/",
            {"content": b"x", "headers": {"content-type": "application/octet-stream"}},
        ),
    ],
    ("GET", "/v1/jobs"): asks(
        "", "?limit=100", "?cursor={id}", "?state=failed,partial,cancelled", f"?model={MODEL}"
    ),
    ("GET", "/v1/jobs/{job_id}"): asks("", "?wait=0.01"),
    ("DELETE", "/v1/jobs/{job_id}"): asks(""),
    ("GET", "/v1/jobs/{job_id}/result"): asks("", "?wait=0.01"),
    ("GET", "/v1/jobs/{job_id}/results"): [
        *asks("", "?from=1", "?format=ndjson&wait=0.01"),
        Ask("", {"headers": {"accept": "application/x-ndjson"}}),
    ],
    ("GET", "/v1/jobs/{job_id}/events"): [Ask(), Ask("", {"headers": {"last-event-id": "succeeded.1"}})],
    ("GET", "/v1/jobs/{job_id}/files/{name}"): [Ask(), Ask("", {"headers": {"range": "bytes=0-1"}})],
    ("GET", "/v1/jobs/{job_id}/inputs/{place:path}"): asks(""),
    **{
        ("POST", path): [Ask("", {"json": {}})]  # with a body it would wait for a worker
        for path in (
            *("/v1/rerank", "/v2/rerank", "/embed", "/rerank", "/predict", "/similarity"),
            "/tei/{name:path}",
            *(f"/tei/{{name:path}}/{call}" for call in ("embed", "rerank", "predict", "similarity")),
        )
    },
    **{
        ("GET", path): asks("")
        for path in ("/info", "/health", "/tei/{name:path}/info", "/tei/{name:path}/health")
    },
    ("GET", "/v1/models"): asks(""),
    ("GET", "/v1/models/{name:path}"): asks(""),
    # requests with inputs would wait
    ("POST", "/v1/embeddings"): [Ask("", {"json": {}})],
    ("POST", "/v1/chat/completions"): [Ask("", {"json": {}})],
    ("POST", "/v1/completions"): [Ask("", {"json": {}})],
    ("POST", "/v1/moderations"): [Ask("", {"json": {}})],
    ("POST", "/v1/files"): [Ask("", {"files": {"file": ("x", "x")}, "data": {"purpose": "batch"}})],
    ("GET", "/v1/files"): asks("", "?purpose=batch&order=asc", "?after={id}"),
    ("GET", "/v1/files/{file_id}"): asks(""),
    ("DELETE", "/v1/files/{file_id}"): asks(""),
    ("GET", "/v1/files/{file_id}/content"): [Ask(), Ask("", {"headers": {"range": "bytes=0-9"}})],
    ("POST", "/v1/batches"): [
        Ask(
            "",
            {
                "json": {
                    "input_file_id": UPLOADED,
                    "endpoint": "/v1/embeddings",
                    "completion_window": "24h",
                }
            },
        )
    ],
    ("GET", "/v1/batches"): asks("", "?after={id}"),
    ("GET", "/v1/batches/{batch_id}"): asks(""),
    ("POST", "/v1/batches/{batch_id}/cancel"): asks(""),
    ("GET", "/v1/usage"): asks(
        "", "?owner=alice", "?by=hour", "?from=2026-11-28T00:00:00Z&to=2026-11-29T00:00:00Z"
    ),
    ("POST", "/v1/webhooks"): [Ask("", {"json": {"url": "https://example.org/"}})],
    ("GET", "/v1/webhooks"): asks(""),
    ("GET", "/v1/webhooks/secret"): asks(""),
    ("POST", "/v1/webhooks/secret/rotate"): asks(""),
    ("GET", "/v1/webhooks/deliveries"): asks("", "?cursor={id}&undeliverable=true", "?owner=alice"),
    ("GET", "/v1/webhooks/deliveries/{delivery_id}"): asks(""),
    ("POST", "/v1/webhooks/deliveries/{delivery_id}/retry"): asks(""),
    ("GET", "/v1/webhooks/{webhook_id}"): asks(""),
    ("POST", "/v1/webhooks/{webhook_id}"): [Ask("", {"json": {"enabled": True}})],
    ("DELETE", "/v1/webhooks/{webhook_id}"): asks(""),
    ("POST", "/v1/webhooks/{webhook_id}/test"): asks(""),
    ("POST", "/v1/webhooks/{webhook_id}/secret/rotate"): asks(""),
    ("GET", "/webhooks"): asks("", "?owner=alice", "?after={id}"),
    ("POST", "/webhooks/deliveries/{delivery_id}/retry"): asks(""),
    ("POST", "/webhooks/{webhook_id}/test"): asks(""),
    ("POST", "/models/{name:path}/v1/chat/completions"): [Ask("", {"json": {}})],
    ("POST", "/models/{name:path}"): [Ask("", {"json": {}})],  # a request with inputs would wait
    ("GET", "/models/{name:path}/info"): asks(""),
    ("GET", "/models/{name:path}/health"): asks(""),
    ("GET", "/health/live"): asks(""),
    ("GET", "/health/ready"): asks(""),
    ("GET", "/metrics"): asks(""),
    ("GET", "/openapi.json"): asks(""),
    ("GET", "/openapi/{name}.json"): asks(""),
    ("GET", "/docs"): asks(""),
    ("GET", "/docs/{name}"): asks(""),
    ("GET", "/static"): asks("/style.css"),
    ("GET", "/sign-in"): asks(""),
    ("POST", "/sign-in"): [Ask("", {"data": {"key": "bl_x"}})],
    ("POST", "/sign-out"): asks(""),
    ("GET", "/"): asks("", "?state=failed", f"?model={MODEL}", f"?charts={MODEL}"),
    ("GET", "/models/{name:path}"): asks("", "?state=failed", "?state=partial"),
    ("GET", "/jobs"): asks("", "?after={id}", "?id={id}", "?id={tail}", "?state=failed", f"?model={MODEL}"),
    ("GET", "/batches"): asks("", "?after={id}"),
    ("GET", "/batches/{batch_id}"): asks(""),
    ("GET", "/fragments/batches"): asks("", "?after={id}"),
    ("GET", "/fragments/batches/{batch_id}"): asks(""),
    ("POST", "/batches/{batch_id}/cancel"): [Ask(), Ask("", {"headers": {"hx-request": "true"}})],
    ("GET", "/owners"): asks("", "?owner=alice"),
    ("GET", "/usage"): asks("", "?owner=alice"),
    ("GET", "/jobs/{job_id}"): asks(""),
    ("POST", "/jobs/{job_id}/cancel"): [Ask(), Ask("", {"headers": {"hx-request": "true"}})],
    ("GET", "/try"): asks("", f"?model={MODEL}"),
    ("POST", "/try"): [Ask("", {"data": FORM})],
    ("GET", "/try/example"): asks(f"?model={MODEL}"),
    ("POST", "/submit"): [
        Ask("", {"data": FORM}),
        Ask("", {"data": FORM, "headers": {"hx-request": "true"}}),
        Ask("", {"data": FORM | {"nonce": "{id}"}}),
    ],
    ("GET", "/fragments/overview"): asks("", f"?model={MODEL}"),
    ("GET", "/fragments/charts"): asks(f"?model={MODEL}"),
    ("GET", "/fragments/recent"): asks("", "?state=failed", f"?model={MODEL}"),
    ("GET", "/fragments/served"): asks("", f"?model={MODEL}"),
    ("GET", "/fragments/jobs/{job_id}"): asks(""),
    ("GET", "/fragments/answers/{job_id}"): asks(""),
}

WHOSE = {
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/{job_id}"),
    ("GET", "/v1/jobs/{job_id}/result"),
    ("GET", "/v1/jobs/{job_id}/events"),
    ("GET", "/"),
    ("GET", "/models/{name:path}"),
    ("GET", "/jobs"),
    ("GET", "/jobs/{job_id}"),
    ("GET", "/fragments/recent"),
    ("GET", "/fragments/jobs/{job_id}"),
    ("GET", "/v1/usage"),
    ("GET", "/owners"),
    ("GET", "/batches"),
    ("GET", "/batches/{batch_id}"),
    ("GET", "/fragments/batches"),
    ("GET", "/fragments/batches/{batch_id}"),
    ("GET", "/v1/webhooks"),
    ("GET", "/v1/webhooks/{webhook_id}"),
    ("GET", "/v1/webhooks/deliveries"),
    ("GET", "/v1/webhooks/deliveries/{delivery_id}"),
    ("GET", "/webhooks"),
    ("GET", "/metrics"),
}
"""Routes that show an admin whose a job is, or who used what."""

OWN_NAME = {("GET", "/v1/usage"), ("GET", "/openapi.json")}
"""Routes whose answers have an `owner` for everybody: the caller's own, or an example."""

ERRORS = {
    ("GET", "/v1/models"),
    ("GET", "/health/ready"),
    ("GET", "/"),
    ("GET", "/models/{name:path}"),
    ("GET", "/fragments/overview"),
}
"""Routes that show an admin the errors of workers, which may contain parts of a job."""
