"""The OpenAPI description of a job's events."""

from typing import Any

from api.v1.openapi import COMPONENT, WAITING, parameter, problem_answers

_PARTIAL = {
    "description": "More of the answer to an input; with the `index` alone, its text starts again.",
    "type": "object",
    "properties": {
        "index": {"type": "integer", "minimum": 0},
        "text": {"type": "string", "description": "What is new since the last event of this input."},
        "tokens": {"type": "integer", "description": "Tokens generated so far in total."},
    },
    "required": ["index"],
}
_EVENT = {
    "description": "One event of the stream.",
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {
            "anyOf": [
                {"$ref": COMPONENT.format(name="JobState")},
                {"enum": ["progress", "output", "restarted"]},
            ]
        },
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"anyOf": [{"$ref": COMPONENT.format(name="Job")}, _PARTIAL]},
        },
        "retry": {"type": "integer"},
    },
}
EVENTS: dict[str, Any] = {
    "operation_id": "follow_job",
    "responses": {
        200: {
            "description": "Events named after the job's state, or `progress` if only `counts` changed."
            " The data is a Job. If the request had `stream`, also events for single inputs: `output` has new"
            " text, and after `restarted` the text starts again.",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        204: {"description": "`Last-Event-ID` is that of the final state: no event follows."},
        **problem_answers(*WAITING),
    },
    "openapi_extra": {
        "parameters": [parameter("Last-Event-ID", "The id of the last event received.", "running.0")]
    },
}
