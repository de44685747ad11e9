"""A request as a curl command for TEI's interface."""

from collections.abc import Sequence
from typing import Any

import msgspec

from api.dialect import Sample, SampleRequest
from api.dialects import samples as code
from api.dialects.tei.serving import CALLS, EMBED, PREDICT, RANK


def samples(request: SampleRequest) -> Sequence[Sample]:
    """For what TEI's calls can say; others have parameters that it does not have."""
    body = _body(request)
    if body is None:
        return ()
    path = f"/tei/{request.spec.name}/{CALLS[request.spec.task][0]}"
    sent = msgspec.json.encode(body).decode()
    return (Sample("TEI", code.curl(request.url + path, sent, has_keys=request.has_keys)),)


def _body(request: SampleRequest) -> dict[str, Any] | None:
    task, inputs, parameters = request.spec.task, request.inputs, dict(request.parameters)
    if task == EMBED and not parameters.keys() - {"normalize"}:
        return {"inputs": inputs, **parameters}
    if task == PREDICT and not parameters:
        return {
            "inputs": [_sequence(each) for each in inputs] if isinstance(inputs, list) else _sequence(inputs)
        }
    if task == RANK and not parameters.keys() - {"return_documents"} and _ranks(inputs):
        texts = {"return_text": True} if parameters.get("return_documents") else {}
        return {"query": inputs["query"], "texts": inputs["documents"], **texts}
    return (
        {"inputs": inputs}
        if task in CALLS and task not in (EMBED, PREDICT, RANK) and not parameters
        else None
    )


def _sequence(one: Any) -> list[str]:
    return [one] if isinstance(one, str) else [one["text"], one["text_pair"]]


def _ranks(inputs: Any) -> bool:
    return isinstance(inputs, dict) and inputs.keys() == {"query", "documents"}
