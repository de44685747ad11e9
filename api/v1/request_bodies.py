"""The OpenAPI description of the bodies of `POST /v1/jobs` other than JSON: forms, and media as they are."""

from typing import Any

from api.v1.descriptions import DESCRIPTIONS
from api.v1.submission import QUERY
from api.v1.submission.content import FORM, OTHER_RAW, RAW
from jobs.schema import JobRequest
from jobs.validation import properties

_PART = {
    "description": "An image, a sound or a video, as a file; or a text, base64, a data URL or a link.",
    "type": "string",
}
_MEDIUM = {
    "description": "The bytes of the job's only input: an image, a sound or a video. Other accepted content"
    f" types are {', '.join(OTHER_RAW)}. The bytes decide which format they have.",
    "type": "string",
    "format": "binary",
}

CONTENT: dict[str, Any] = {
    FORM: {
        "schema": {"$ref": "#/components/schemas/JobForm"},
        "encoding": {name: {"contentType": "application/json"} for name in ("parameters", "webhook")},
    },
    RAW: {"schema": _MEDIUM},  # alone, because generators of clients know no type with an asterisk
}
"""By content type."""

_FIELDS = properties(JobRequest)

AS_TEXT = {"parameters": ", as JSON", "webhook": ", as JSON or only its address"}
"""Fields that are objects, and how a text says them."""

PARAMETERS: list[dict[str, Any]] = [
    {
        "name": name,
        "in": "query",
        "description": f"For a medium as the body{AS_TEXT.get(name, '')}. {DESCRIPTIONS['JobRequest'][name]}",
        "schema": {key: value for key, value in _FIELDS[name].items() if key != "default"}
        if name not in AS_TEXT
        else {"type": "string", **({"contentMediaType": "application/json"} if name == "parameters" else {})},
    }
    for name in QUERY
]
"""What a body that is only a medium cannot say."""


def schemas(request: dict[str, Any]) -> dict[str, Any]:
    """The schemas of these bodies; `request` is the schema of JobRequest, with its descriptions."""
    fields = {name: request["properties"][name] for name in QUERY}
    inputs: dict[str, Any] = {"anyOf": [_PART, {"type": "array", "items": _PART, "minItems": 1}]}
    inputs["description"] = "One input, or several parts with this name, in their order."
    return {
        "JobForm": {
            "title": "JobForm",
            "description": "`inputs` has whole inputs. If an input has several values, such as an image and a"
            " question, each is a part of its own: `inputs.image` and `inputs.question`, or"
            " `inputs.0.image` and so on for several inputs.",
            "type": "object",
            "properties": {"inputs": inputs, **fields},
            "patternProperties": {r"^inputs\.": _PART},
            "additionalProperties": False,
        }
    }
