"""The calls for a model, and a request as code for OpenAI's client."""

from collections.abc import Sequence
from typing import Any

from api.dialect import Sample, SampleRequest
from api.dialects.samples import call, key_in_python, python

CHAT = "POST /v1/chat/completions"

CALLS = {
    "feature-extraction": ("POST /v1/embeddings",),
    "text-classification": ("POST /v1/moderations",),
    "text-generation": (CHAT, "POST /v1/completions"),
}
"""The calls for the models of each task."""

_GENERATION = {"max_new_tokens": "max_tokens", "top_p": "top_p", "seed": "seed", "stop": "stop"}
"""Parameters of a job -> those of the client."""


def samples(request: SampleRequest) -> Sequence[Sample]:
    """For what the client can say; it has fewer parameters than a job."""
    match request.spec.task:
        case "feature-extraction":
            found = _embeddings(request)
        case "text-classification":
            found = _moderations(request)
        case "text-generation":
            found = _generation(request)
        case _:
            found = None
    if found is None:
        return ()
    function, arguments, shown = found
    client = f'client = OpenAI(api_key={key_in_python(request)}, base_url="{request.url}/v1")'
    calls = call(f"answer = client.{function}", [("model", request.spec.name), *arguments])
    return (Sample("openai", python(request, "from openai import OpenAI", client, calls, f"print({shown})")),)


Found = tuple[str, list[tuple[str, Any]], str] | None
"""A function of the client, its arguments besides the model, and the expression of its result."""


def _embeddings(request: SampleRequest) -> Found:
    if request.parameters.keys() - {"dimensions"}:
        return None
    return (
        "embeddings.create",
        [("input", request.inputs), *request.parameters.items()],
        "[each.embedding for each in answer.data]",
    )


def _moderations(request: SampleRequest) -> Found:
    inputs = request.inputs if isinstance(request.inputs, list) else [request.inputs]
    if request.parameters or not all(isinstance(each, str) for each in inputs):
        return None
    return "moderations.create", [("input", request.inputs)], "answer.results"


def _generation(request: SampleRequest) -> Found:
    if request.parameters.keys() - _GENERATION.keys():
        return None
    settings = [(_GENERATION[name], value) for name, value in request.parameters.items()]
    if isinstance(request.inputs, dict) and "messages" in request.inputs:
        return (
            "chat.completions.create",
            [("messages", request.inputs["messages"]), *settings],
            "answer.choices[0].message.content",
        )
    if not isinstance(request.inputs, str) and not all(isinstance(each, str) for each in request.inputs):
        return None
    return (
        "completions.create",
        [("prompt", request.inputs), *settings],
        "[each.text for each in answer.choices]",
    )
