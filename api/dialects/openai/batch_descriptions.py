"""The OpenAPI description of /v1/batches. The fields are OpenAI's own; its reference explains them."""

from typing import Any, get_args

from api.dialects.openai.description import _answers as answers
from api.dialects.openai.description import _object as object_of
from bulk.batches.batch import ENDPOINTS, BatchState
from jobs.webhook import BatchEvent

_STRING: dict[str, Any] = {"type": "string"}
_INTEGER: dict[str, Any] = {"type": "integer"}
_TIME = {"type": ["integer", "null"], "description": "Unix seconds"}
_ID = {"type": ["string", "null"]}
_MEDIA = {
    **_STRING,
    "description": "A zip archive, uploaded as user_data, with media that lines name as `archive:NAME`.",
}
_METADATA = {
    "type": ["object", "null"],
    "additionalProperties": {**_STRING, "maxLength": 512},
    "maxProperties": 16,
}

BATCH = object_of(
    id=_STRING,
    object={"const": "batch"},
    endpoint={"enum": list(ENDPOINTS)},
    model=_ID,
    errors={"type": ["object", "null"]},
    input_file_id=_STRING,
    completion_window=_STRING,
    status={"enum": [state.value for state in BatchState]},
    output_file_id=_ID,
    error_file_id=_ID,
    created_at=_INTEGER,
    in_progress_at=_TIME,
    expires_at=_INTEGER,
    finalizing_at=_TIME,
    completed_at=_TIME,
    failed_at=_TIME,
    expired_at=_TIME,
    cancelling_at=_TIME,
    cancelled_at=_TIME,
    request_counts=object_of(total=_INTEGER, completed=_INTEGER, failed=_INTEGER),
    metadata=_METADATA,
    media_file_id=_MEDIA,
)

CREATE: dict[str, Any] = {
    "operation_id": "create_batch",
    "responses": answers("The batch, whose file is checked next.", BATCH),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        **object_of(
                            input_file_id=_STRING,
                            endpoint={"enum": list(ENDPOINTS)},
                            completion_window={**_STRING, "pattern": "^[1-9][0-9]{0,3}[hd]$"},
                            metadata=_METADATA,
                            output_expires_after=object_of(
                                anchor={"const": "created_at"},
                                seconds={**_INTEGER, "minimum": 3600, "maximum": 2_592_000},
                            ),
                            media_file_id=_MEDIA,
                            webhook={
                                **object_of(
                                    url=_STRING,
                                    events={"type": "array", "items": {"enum": list(get_args(BatchEvent))}},
                                ),
                                "required": ["url"],
                                "description": "An address that is told of the end.",
                            },
                        ),
                        "required": ["input_file_id", "endpoint", "completion_window"],
                        "additionalProperties": False,
                    },
                    "example": {
                        "input_file_id": "file-0123456789abcdef0123456789abcdef",
                        "endpoint": "/v1/embeddings",
                        "completion_window": "24h",
                    },
                }
            },
        }
    },
}

LIST: dict[str, Any] = {
    "operation_id": "list_batches",
    "responses": answers(
        "The newest batches.",
        object_of(
            object={"const": "list"},
            data={"type": "array", "items": BATCH},
            first_id=_ID,
            last_id=_ID,
            has_more={"type": "boolean"},
        ),
    ),
    "openapi_extra": {
        "parameters": [
            {
                "name": "after",
                "in": "query",
                "description": "The id of the batch before the first one.",
                "schema": _STRING,
            },
            {
                "name": "limit",
                "in": "query",
                "schema": {**_INTEGER, "minimum": 1, "maximum": 100, "default": 20},
            },
        ]
    },
}

RETRIEVE: dict[str, Any] = {"operation_id": "retrieve_batch", "responses": answers("The batch.", BATCH)}

CANCEL: dict[str, Any] = {
    "operation_id": "cancel_batch",
    "responses": answers("The batch, as it is now.", BATCH),
}
