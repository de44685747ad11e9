"""What the OpenAPI descriptions say about callers: how they send keys."""

from typing import Any

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, `bl_...`."},
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key, for clients that cannot send `Authorization`.",
    },
}
"""Servers without keys need neither."""


def submitted_body(described: dict[str, Any]) -> dict[str, Any]:
    """The description of the body of POST /v1/jobs."""
    body: dict[str, Any] = described["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    return body["application/json"]  # type: ignore[no-any-return]
