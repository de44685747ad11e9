"""A ranking as code for Cohere's client."""

from collections.abc import Sequence
from typing import Any

from api.dialect import Sample, SampleRequest
from api.dialects.ranking import TASK
from api.dialects.samples import call, key_in_python, python


def samples(request: SampleRequest) -> Sequence[Sample]:
    """For one query with documents. The client cannot ask for raw scores, and v2 returns no documents."""
    inputs, parameters = request.inputs, request.parameters
    if request.spec.task != TASK or not isinstance(inputs, dict) or inputs.keys() != {"query", "documents"}:
        return ()
    if parameters.keys() - {"top_k", "return_documents"}:
        return ()
    arguments: list[tuple[str, Any]] = [
        ("model", request.spec.name),
        ("query", inputs["query"]),
        ("documents", inputs["documents"]),
    ]
    if "top_k" in parameters:
        arguments.append(("top_n", parameters["top_k"]))
    client = f'client = cohere.ClientV2({key_in_python(request)}, base_url="{request.url}")'
    code = python(
        request, "import cohere", client, call("answer = client.rerank", arguments), "print(answer.results)"
    )
    return (Sample("cohere", code),)
