"""`text_generation(stream=True)`: the text as server-sent events, in the form of text-generation-inference.

The pieces of a partial answer may have several tokens, and their ids and probabilities are not kept. So
`index` is the number of tokens so far, and a piece's `id` and `logprob` are null.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.dialects import streamed
from api.dialects.huggingface import errors
from api.dialects.streamed import SILENCE, Ended, Step, Text, rest
from api.problems.problem import Problem, Refusal
from api.waiting.following import Quiet
from jobs.schema import Job, NewJob


class _Details(msgspec.Struct, frozen=True):
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None


class _Generated(msgspec.Struct, frozen=True):
    generated_text: str
    details: _Details = _Details()


_output = msgspec.json.Decoder(list[_Generated])


async def stream(request: Request, job: NewJob) -> Response:
    """The text of a job with one input as a stream. Raises as `streamed.stream`."""
    whole = job.parameters.get("return_full_text") and isinstance(job.inputs, str)
    frames = partial(_frames, job.inputs if whole else "", job.parameters.get("seed"))
    return await streamed.stream(request, job, frames, _error_frame)


async def _frames(prompt: str, seed: int | None, _: Job, steps: AsyncIterator[Step]) -> AsyncIterator[bytes]:
    """The events. `prompt` is the start of the output that is not new text."""
    sent = ""
    async for step in steps:
        match step:
            case Quiet():
                yield SILENCE
            case Text(_, text, tokens):
                sent += text
                yield _frame({"index": tokens, "token": _token(text)})
            case Ended(job, outputs):
                found = _generated(job, outputs)
                left, details = rest(found.generated_text.removeprefix(prompt), sent), found.details
                yield _frame(
                    {
                        "index": details.generated_tokens,
                        "token": _token(left),
                        "generated_text": found.generated_text,
                        "details": {
                            "finish_reason": details.finish_reason,
                            "generated_tokens": details.generated_tokens,
                            "input_length": details.prompt_tokens,
                            "seed": seed,
                        },
                    }
                )


def _token(text: str) -> dict[str, Any]:
    """A piece of text. The last one is empty if all text has been sent."""
    return {"id": None, "text": text, "logprob": None, "special": not text}


def _frame(event: dict[str, Any]) -> bytes:
    return b"data:" + msgspec.json.encode({"generated_text": None, "details": None} | event) + b"\n\n"


def _generated(job: Job, outputs: list[msgspec.Raw]) -> _Generated:
    try:
        return _output.decode(outputs[0])[0]
    except (msgspec.ValidationError, IndexError):
        raise Refusal("job-failed", f"the outputs of model {job.model} are no texts") from None


def _error_frame(problem: Problem) -> bytes:
    return b"data:" + msgspec.json.encode(errors.document(problem)) + b"\n\n"
