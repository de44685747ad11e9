"""A small foreign interface: a text in, its label out; an error is a line that begins with `oops`.

Besides this file it needs its name in the application's list of dialects.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api.dialect import Accepted, Call, ParsedRequest, Sample, SampleRequest
from api.edge import bodies
from api.edge.express import Direct
from api.problems.problem import Problem, Refusal
from api.services import Asking, Shared, services
from jobs.catalog import ModelCatalog
from jobs.models import ModelSpec
from jobs.schema import JobRequest, validate_request

router = APIRouter(prefix="/labels", tags=["labels"])
direct = APIRouter(prefix="/v1", tags=["labels"], route_class=Direct)
"""A path among those of another dialect, and on the express lane."""


async def parse(request: Request) -> ParsedRequest[str]:
    text = (await bodies.read(request, 1_000)).decode()
    if not text:
        raise Refusal("invalid-request", "no text")
    case = request.headers.get("x-case", "")
    job = validate_request(JobRequest(inputs=text), services(request).catalog.default)
    return ParsedRequest(job, case, wait=10.0)


async def present(request: Request, accepted: Accepted, case: str) -> Response:
    job = accepted.job
    if not isinstance(job.results, msgspec.Raw):
        raise Refusal("job-expired", "no label in time")
    [result] = msgspec.json.decode(job.results)
    if "error" in result:
        raise Refusal("job-failed", result["error"]["detail"])
    label: str = result["output"][0]["label"]
    return PlainTextResponse(label.lower() if case == "lower" else label)


LABEL = Call(parse, present)


@direct.post("/label", response_class=PlainTextResponse)
async def label(request: Request) -> Response:
    """The label of a text."""
    return await services(request).intake.run(request, LABEL)


@router.get("/{job_id}")
async def status(job_id: str, shared: Shared, caller: Asking) -> Response:
    """A job's state as one word."""
    return PlainTextResponse((await shared.ledger.read(job_id, sees=caller.sees)).status)


class Labels:
    """A `Dialect`."""

    name = "labels"
    title = "Labels"
    prefix = "/labels/"
    routers = (router, direct)
    line_calls = ()

    def calls(self, spec: ModelSpec) -> Sequence[str]:
        return ("POST /v1/label",) if spec.task == "text-classification" else ()

    def samples(self, request: SampleRequest) -> Sequence[Sample]:
        return (Sample("labels", f"label {request.inputs!r}"),) if self.calls(request.spec) else ()

    def refuse(self, request: Request, problem: Problem) -> Response:
        return PlainTextResponse(f"oops: {problem.detail}", problem.status, dict(problem.headers))

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        text = {"text/plain": {"schema": {"type": "string"}, "example": "A fine film."}}
        described["paths"]["/v1/label"]["post"]["requestBody"] = {"required": True, "content": text}
