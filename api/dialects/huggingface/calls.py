"""The routes: `POST /models/{name}`, and what the client reads about a model's server."""

import re
from collections.abc import Awaitable
from typing import Any, NamedTuple

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.dialects.huggingface import answers, parsing, streaming
from api.dialects.huggingface.descriptions import CALL, HEALTH, INFO
from api.dialects.huggingface.file_answers import FileAnswer
from api.dialects.huggingface.shapes import Shape
from api.dialects.huggingface.tasks import shape_of
from api.dialects.json_bodies import is_json
from api.dialects.synchronous import Synchronous
from api.edge.express import Direct
from api.edge.json_reply import JsonReply
from api.problems.problem import Refusal
from api.services import Services, Shared
from jobs.errors import InvalidRequest, UnknownModel
from jobs.models import ModelSpec
from jobs.schema import Job, JobRequest, NewJob, validate_request

direct = APIRouter(tags=["Hugging Face"], route_class=Direct)
router = APIRouter(tags=["Hugging Face"])

_medium = re.compile(r"(image|audio|video)/[\w.!#$&^+-]+|application/octet-stream")
_encode = msgspec.json.Encoder().encode

SPACES = 1024
"""Bytes in which the start of a body is looked for, which may begin with spaces."""


class Given(NamedTuple):
    """What presenting the answer needs of a request."""

    shape: Shape
    many: bool
    """Whether it had a list of inputs."""
    has_files: bool
    stream: bool
    """Whether the text is wanted while it grows."""


def model_of(request: Request, shared: Services) -> ModelSpec:
    """The model of the path, which may end with a slash. Raises UnknownModel."""
    try:
        return shared.catalog[request.path_params["name"].removesuffix("/")]
    except UnknownModel as error:
        raise UnknownModel(str(error)) from None  # without its pointer, which points into a body


def read(request: Request, body: bytearray, shared: Services) -> tuple[NewJob, Given]:
    """Makes a job of a request. Raises InvalidRequest, UnknownModel, or Refusal for another content type."""
    spec = model_of(request, shared)
    shape = shape_of(spec.task)
    asked = parsed(request, body, shape, spec)
    many = isinstance(asked.inputs, list)
    if many and asked.stream:
        raise InvalidRequest("stream: give one input; a list has no stream", pointer="/stream")
    if many and shape.body is not None:
        raise InvalidRequest(
            f"inputs: the answer is a file, so give one input, not {len(asked.inputs)}", "/inputs"
        )
    parameters = {**asked.parameters, "details": True} if asked.stream else asked.parameters
    job = validate_request(JobRequest(asked.inputs, parameters=parameters), spec)
    return job, Given(shape, many, spec.definition.writes_files, asked.stream)


def parsed(request: Request, body: bytearray, shape: Shape, spec: ModelSpec) -> parsing.Asked:
    """The request's body: JSON, or the bytes of a medium. Raises as `read`."""
    if is_json(request):
        return parsing.parse(body, shape, spec)
    kind = request.headers.get("content-type")
    if kind is not None and not _medium.fullmatch(kind.partition(";")[0].strip().lower()):
        raise Refusal(
            "unsupported-media-type",
            f"the content type is {kind[:60]}; send JSON (application/json), or the bytes of an image, a"
            " sound or a video with its type, such as image/png, or without a type",
        )
    takes_media = spec.definition.input.is_medium(shape.medium)
    if kind is None and (not takes_media or body[:SPACES].lstrip()[:1] == b"{"):
        return parsing.parse(body, shape, spec)
    if not takes_media:
        raise InvalidRequest(
            f"model {spec.name} reads inputs of the kind {spec.definition.input.name}; send JSON"
            " (content-type: application/json)"
        )
    if not body:
        raise InvalidRequest("the body is empty")
    return parsing.alone(shape, spec, bytes(body))


def answered(job: Job, outputs: list[msgspec.Raw], given: Given) -> Response:
    """The response for a job's outputs."""
    shape = given.shape
    answer = answers.answer(shape, outputs, many=given.many)
    if not given.has_files:
        return JsonReply(_encode(answer), 200, {})
    decoded: Any = msgspec.json.decode(_encode(answer))
    return FileAnswer(job.id, decoded, shape.body)


def streamed(request: Request, job: NewJob, given: Given) -> Awaitable[Response] | None:
    """The stream of the text, if it is wanted."""
    return streaming.stream(request, job) if given.stream else None


RUN = Synchronous(read, answered, only_json=False, stream=streamed)


@direct.post("/models/{name:path}", **CALL)
async def run_model(request: Request) -> Response:
    """Runs a model and answers in the form of its task, as `InferenceClient` reads it."""
    response = await RUN.run(request)
    return await response.filled(request) if isinstance(response, FileAnswer) else response


@router.get("/models/{name:path}/info", **INFO)
async def read_info(request: Request, shared: Shared) -> Response:
    """What the model is and accepts, for `InferenceClient.get_endpoint_info`."""
    spec = model_of(request, shared)
    return JsonReply(
        _encode(
            {
                "model_id": spec.name,
                "model_pipeline_tag": spec.task,
                "description": spec.description,
                "max_client_batch_size": spec.max_inputs,
                "max_input_chars": spec.max_input_chars,
            }
        ),
        200,
        {},
    )


@router.get("/models/{name:path}/health", **HEALTH)
async def read_health(request: Request, shared: Shared) -> Response:
    """Whether a worker can run the model now, for `InferenceClient.health_check`: 200, else 503."""
    spec = model_of(request, shared)
    if await shared.roster.serves(spec.name):
        return JsonReply(_encode({"status": "ready"}), 200, {})
    unhealthy = {"error": f"no worker can run {spec.name} now", "error_type": "unhealthy"}
    return JsonReply(_encode(unhealthy), 503, {})
