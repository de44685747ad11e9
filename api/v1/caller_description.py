"""What the OpenAPI description says about callers: how they send keys, and the models that a key may use."""

import copy
from typing import Any

from api.v1.model_schemas import examples
from jobs.catalog import ModelCatalog

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


def of_models(described: dict[str, Any], catalog: ModelCatalog) -> dict[str, Any]:
    """A copy of the description for a caller who may use the models of this catalog only."""
    changed = copy.deepcopy(described)
    submitted_body(changed)["examples"] = examples(catalog) if catalog.specs else {}
    return changed


def submitted_body(described: dict[str, Any]) -> dict[str, Any]:
    """The description of the body of POST /v1/jobs."""
    body: dict[str, Any] = described["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    return body["application/json"]  # type: ignore[no-any-return]
