"""What chats and completions have in common: the settings of a request, and the texts of a job.

Settings that would change the text and cannot be applied are refused. Those that only concern OpenAI's own
service are ignored.
"""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from api.dialects.openai import errors
from api.problems.problem import Refusal
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.schema import Job, JobRequest, NewJob, validate_request
from jobs.tasks.text.generation import TEXT_GENERATION, StopString

LOWEST_TEMPERATURE = 1e-4
"""Below it the likeliest token is taken."""


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class GenerationRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    model: str | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    seed: int | None = None
    stop: str | list[StopString] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class Details(msgspec.Struct, frozen=True):
    """Of an output: `details_of` in the worker."""

    finish_reason: str = "eos_token"
    prompt_tokens: int = 0
    generated_tokens: int = 0


class Generated(msgspec.Struct, frozen=True):
    """The output of one input."""

    generated_text: str
    details: Details = Details()

    @property
    def finish_reason(self) -> str:
        return "length" if self.details.finish_reason == "length" else "stop"


class Form(msgspec.Struct, frozen=True):
    """What the answer of a request depends on, besides the texts."""

    choices: int
    """Texts for each prompt."""
    stream: bool
    usage: bool
    """Whether a stream ends with the usage."""


_output = msgspec.json.Decoder(list[Generated])


def job_of(
    asked: GenerationRequest,
    inputs: list[Any],
    spec: ModelSpec,
    max_tokens: int | None,
    unsupported: Iterable[str],
    field: str,
) -> tuple[NewJob, Form]:
    """The job of a request: each input as often as choices are wanted. Raises InvalidRequest.

    `unsupported` are names of settings of the request that must not be set. `field` has the inputs.
    """
    for name in ("frequency_penalty", "presence_penalty", "logit_bias", *unsupported):
        if getattr(asked, name):
            raise InvalidRequest(f"{name}: this setting is not supported; leave it out", pointer=f"/{name}")
    choices = asked.n or 1
    if choices > 1 and asked.seed is not None:
        raise InvalidRequest("seed: with one seed all n texts would be the same; give seed or n", "/seed")
    if asked.stream_options is not None and not asked.stream:
        raise InvalidRequest("stream_options: they need stream", pointer="/stream_options")
    wanted = [one for one in inputs for _ in range(choices)]
    with errors.renamed(inputs=field, max_new_tokens="max_tokens"):
        new = validate_request(JobRequest(inputs=wanted, parameters=_parameters(asked, max_tokens)), spec)
    usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
    return new, Form(choices, bool(asked.stream), usage)


def size(job: NewJob) -> int:
    """The characters of a job's prompts or chats, each counted for all its choices."""
    return sum(map(TEXT_GENERATION.input.measure, job.inputs))


def _parameters(asked: GenerationRequest, max_tokens: int | None) -> dict[str, Any]:
    parameters: dict[str, Any] = {"return_full_text": False, "details": True}
    if max_tokens is not None:
        parameters["max_new_tokens"] = max_tokens
    if asked.temperature is not None:
        parameters["do_sample"] = asked.temperature >= LOWEST_TEMPERATURE
        if parameters["do_sample"]:
            parameters["temperature"] = asked.temperature
    if asked.top_p is not None:
        parameters = {"do_sample": True, **parameters, "top_p": asked.top_p}
    if asked.seed is not None:
        parameters["seed"] = asked.seed % 2**63  # OpenAI's may be negative
    if asked.stop:
        parameters["stop"] = [asked.stop] if isinstance(asked.stop, str) else asked.stop
    return parameters


def generated(job: Job, outputs: list[msgspec.Raw]) -> list[Generated]:
    """The text of each input. Raises Refusal for outputs of another form."""
    try:
        return [_output.decode(output)[0] for output in outputs]
    except (msgspec.ValidationError, IndexError):
        raise Refusal("job-failed", f"the outputs of model {job.model} are no texts") from None


def usage(texts: list[Generated], form: Form) -> dict[str, int]:
    """Numbers of tokens; each prompt counts once, however many choices it has."""
    prompts = sum(text.details.prompt_tokens for text in texts[:: form.choices])
    new = sum(text.details.generated_tokens for text in texts)
    return {"prompt_tokens": prompts, "completion_tokens": new, "total_tokens": prompts + new}


def created(job: Job) -> int:
    return int(job.created_at.timestamp())
