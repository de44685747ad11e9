"""POST /v1/chat/completions: the next message of a chat, by a text-generation model with a chat template."""

from collections.abc import Awaitable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.dialects.json_bodies import decoded
from api.dialects.lines import as_reply, line_call
from api.dialects.model_choice import model_for
from api.dialects.openai import errors, generation, streaming
from api.dialects.openai.description import CHAT
from api.dialects.openai.generation import Form, Generated, GenerationRequest
from api.dialects.synchronous import Synchronous
from api.edge.express import Direct
from api.services import Services
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.schema import Job, NewJob
from jobs.tasks.inputs.text_or_chat import MAX_MESSAGES

router = APIRouter(tags=["openai"], route_class=Direct)

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
"""Roles of OpenAI's -> roles of chat templates."""

UNSUPPORTED = (
    "logprobs",
    "top_logprobs",
    "tools",
    "functions",
    "audio",
    "prediction",
    "web_search_options",
)


class Part(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None


class Message(msgspec.Struct, frozen=True):
    """A message. Clients send back those that they got, with fields that are null."""

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None


class ResponseFormat(msgspec.Struct, frozen=True):
    type: str


class ChatRequest(GenerationRequest, frozen=True, kw_only=True):
    messages: Annotated[list[Message], Meta(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    response_format: ResponseFormat | None = None
    modalities: list[str] | None = None
    reasoning_effort: str | None = None
    """Ignored, as `verbosity`."""
    verbosity: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    tool_choice: Any = None
    function_call: Any = None
    parallel_tool_calls: bool | None = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None


def read(body: bytes | bytearray, catalog: ModelCatalog, name: str | None = None) -> tuple[NewJob, Form]:
    """The job of a request. `name` is the model that the path names, if it does. Raises InvalidRequest."""
    asked = decoded(body, ChatRequest)
    spec = model_for(catalog, asked.model if name is None else name, "text-generation")
    if asked.response_format is not None and asked.response_format.type != "text":
        raise InvalidRequest("response_format: only text is supported", pointer="/response_format")
    if asked.modalities not in (None, ["text"]):
        raise InvalidRequest("modalities: only text is supported", pointer="/modalities")
    chat = {"messages": [_message(one, f"messages/{at}") for at, one in enumerate(asked.messages)]}
    limit = asked.max_completion_tokens or asked.max_tokens
    with errors.renamed(max_tokens="max_completion_tokens" if asked.max_completion_tokens else "max_tokens"):
        return generation.job_of(asked, [chat], spec, limit, UNSUPPORTED, "messages")


def _message(message: Message, place: str) -> dict[str, str]:
    role = ROLES.get(message.role)
    if role is None or message.tool_calls or message.function_call:
        what = (
            f"the role {message.role[:60]!r} is not supported" if role is None else "calls of tools are not"
        )
        raise InvalidRequest(f"{place}: {what}; give system, user or assistant", pointer=f"/{place}")
    content = message.content
    if isinstance(content, list):
        texts = [part.text for part in content if part.type == "text" and part.text is not None]
        if len(texts) < len(content):
            raise InvalidRequest(f"{place}/content: only texts are supported", pointer=f"/{place}/content")
        content = "\n".join(texts)
    if content is None:
        raise InvalidRequest(f"{place}/content: give a text", pointer=f"/{place}/content")
    return {"role": role, "content": content}


def answer(job: Job, outputs: list[msgspec.Raw], form: Form) -> bytes:
    """The messages as choices."""
    texts = generation.generated(job, outputs)
    content = _head(job, "chat.completion") | {
        "choices": [_choice(index, text) for index, text in enumerate(texts)],
        "usage": generation.usage(texts, form),
    }
    return msgspec.json.encode(content)


def _head(job: Job, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{job.id}",
        "object": kind,
        "created": generation.created(job),
        "model": job.model,
    }


def _choice(index: int, text: Generated) -> dict[str, Any]:
    return {
        "index": index,
        "message": {"role": "assistant", "content": text.generated_text, "refusal": None},
        "logprobs": None,
        "finish_reason": text.finish_reason,
    }


class Chunks:
    """The chunks of a stream: `streaming.Chunks`."""

    def head(self, job: Job) -> dict[str, Any]:
        return _head(job, "chat.completion.chunk")

    def first(self, index: int) -> dict[str, Any] | None:
        return self._delta(index, {"role": "assistant", "content": ""}, None)

    def text(self, index: int, text: str) -> dict[str, Any]:
        return self._delta(index, {"content": text}, None)

    def last(self, index: int, reason: str) -> dict[str, Any]:
        return self._delta(index, {}, reason)

    def _delta(self, index: int, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


def stream(request: Request, job: NewJob, form: Form) -> Awaitable[Response] | None:
    return streaming.stream(request, job, form, Chunks()) if form.stream else None


def _read(request: Request, body: bytearray, shared: Services) -> tuple[NewJob, Form]:
    return read(body, shared.catalog, request.path_params.get("name"))


CALL = Synchronous(_read, as_reply(answer), stream=stream, size=generation.size)
LINE = line_call("/v1/chat/completions", read, answer, errors.refused, size=generation.size)


@router.post("/models/{name:path}/v1/chat/completions", include_in_schema=False)  # of InferenceClient
@router.post("/v1/chat/completions", **CHAT)
async def create_chat_completion(request: Request) -> Response:
    """Generates the next message of a chat, as OpenAI's interface does.

    The model's chat template makes a prompt of the messages. With `stream` the text is sent while it grows.
    """
    return await CALL.run(request)
