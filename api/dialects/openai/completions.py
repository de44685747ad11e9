"""POST /v1/completions: continuations of one prompt or several, which are one job."""

from collections.abc import Awaitable
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.dialects.json_bodies import decoded
from api.dialects.lines import as_reply, by_body, line_call
from api.dialects.model_choice import model_for
from api.dialects.openai import errors, generation, streaming
from api.dialects.openai.description import COMPLETIONS
from api.dialects.openai.generation import Form, GenerationRequest
from api.dialects.openai.text_inputs import texts_of
from api.dialects.synchronous import Synchronous
from api.edge.express import Direct
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.schema import Job, NewJob

router = APIRouter(tags=["openai"], route_class=Direct)

USUAL_TOKENS = 16
"""Tokens of a text for which the request gives no limit, as with OpenAI."""

UNSUPPORTED = ("echo", "suffix")


class CompletionRequest(GenerationRequest, frozen=True, kw_only=True):
    prompt: msgspec.Raw
    best_of: int | None = None
    echo: bool | None = None
    suffix: str | None = None
    logprobs: int | None = None


def read(body: bytes | bytearray, catalog: ModelCatalog) -> tuple[NewJob, Form]:
    """The job of a request. Raises InvalidRequest."""
    asked = decoded(body, CompletionRequest)
    spec = model_for(catalog, asked.model, "text-generation")
    if asked.logprobs is not None:  # also 0 asks for some
        raise InvalidRequest("logprobs: this setting is not supported; leave it out", pointer="/logprobs")
    if asked.best_of is not None and asked.best_of != (asked.n or 1):
        raise InvalidRequest("best_of: this setting is not supported; leave it out", pointer="/best_of")
    texts = texts_of(asked.prompt, "prompt")
    prompts = [texts] if isinstance(texts, str) else texts
    return generation.job_of(asked, prompts, spec, asked.max_tokens or USUAL_TOKENS, UNSUPPORTED, "prompt")


def answer(job: Job, outputs: list[msgspec.Raw], form: Form) -> bytes:
    """The texts as choices: those of the first prompt, then those of the next."""
    texts = generation.generated(job, outputs)
    choices = [_choice(index, text.generated_text, text.finish_reason) for index, text in enumerate(texts)]
    content = _head(job) | {"choices": choices, "usage": generation.usage(texts, form)}
    return msgspec.json.encode(content)


def _head(job: Job) -> dict[str, Any]:
    return {
        "id": f"cmpl-{job.id}",
        "object": "text_completion",
        "created": generation.created(job),
        "model": job.model,
    }


def _choice(index: int, text: str, reason: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


class Chunks:
    """The chunks of a stream: `streaming.Chunks`."""

    def head(self, job: Job) -> dict[str, Any]:
        return _head(job)

    def first(self, index: int) -> dict[str, Any] | None:
        return None

    def text(self, index: int, text: str) -> dict[str, Any]:
        return _choice(index, text, None)

    def last(self, index: int, reason: str) -> dict[str, Any]:
        return _choice(index, "", reason)


def stream(request: Request, job: NewJob, form: Form) -> Awaitable[Response] | None:
    return streaming.stream(request, job, form, Chunks()) if form.stream else None


CALL = Synchronous(by_body(read), as_reply(answer), stream=stream, size=generation.size)
LINE = line_call("/v1/completions", read, answer, errors.refused, size=generation.size)


@router.post("/v1/completions", **COMPLETIONS)
async def create_completion(request: Request) -> Response:
    """Continues prompts, as OpenAI's interface does. The prompts of a request are one job.

    With `stream` the texts are sent while they grow.
    """
    return await CALL.run(request)
