"""The calls of a dialect for lines of batches, and its synchronous calls, from the same functions.

A dialect gives `read`, from a body to a job, and `answer`, from the outputs to JSON. `line_call` makes of
them a call for lines; `by_body` and `as_reply` adapt them for `Synchronous`.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.dialects import outcomes
from api.edge import bodies
from api.edge.json_reply import JsonReply
from api.line_calls import LineCall, Refused, Result
from api.problems.problem import Problem, Refusal
from api.services import Services
from jobs.catalog import ModelCatalog
from jobs.schema import Job, NewJob
from jobs.settings import Settings

C = TypeVar("C")

Read = Callable[[bytes | bytearray, ModelCatalog], tuple[NewJob, C]]
"""Makes a job of a body, and the data that Answer needs, without inputs. Raises InvalidRequest or Refusal."""
Answer = Callable[[Job, list[msgspec.Raw], C], bytes]
"""Makes the JSON answer of a job and its outputs, in the order of the inputs. Raises Refusal."""
Size = Callable[[NewJob], int]
"""The characters of a job's inputs, if a part of the body may be in several of them."""


def line_call(
    url: str,
    read: Read[C],
    answer: Answer[C],
    refuse: Callable[[Problem], Refused],
    size: Size | None = None,
) -> LineCall[C]:
    """The call for lines of batches."""

    def job_of(body: bytes, catalog: ModelCatalog, settings: Settings) -> tuple[NewJob, C]:
        job, context = read(body, catalog)
        if size is not None:
            check_size(job, size(job), settings)
        return job, context

    def answer_of(job: Job, results: Sequence[Result], context: C) -> bytes:
        return answer(job, outcomes.outputs_of(results), context)

    return LineCall(url, job_of, answer_of, refuse)


def by_body(read: Read[C]) -> Callable[[Request, bytearray, Services], tuple[NewJob, C]]:
    """The function as `Synchronous` calls it."""

    def of_request(request: Request, body: bytearray, shared: Services) -> tuple[NewJob, C]:
        return read(body, shared.catalog)

    return of_request


def as_reply(answer: Answer[C]) -> Callable[[Job, list[msgspec.Raw], C], Response]:
    """The function as `Synchronous` calls it."""

    def response(job: Job, outputs: list[msgspec.Raw], context: C) -> Response:
        return JsonReply(answer(job, outputs, context), 200, {})

    return response


def check_size(job: NewJob, size: int, settings: Settings) -> None:
    """Raises Refusal if the job's inputs have more characters than a request may have bytes.

    Else a small request could become a job of any size.
    """
    if size > settings.max_request_bytes:
        raise Refusal(
            "payload-too-large",
            f"the {job.count:,} inputs of this request's job have {size:,} characters, with what is"
            f" in several of them counted for each; the limit is {settings.max_request_bytes:,}"
            f" ({bodies.MAX_REQUEST_BYTES})",
        )
