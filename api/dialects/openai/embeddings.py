"""POST /v1/embeddings: one text or up to 2,048 as one job; each gets a vector.

The vectors are copied from the job's results to the answer as they are, without decoding them.
"""

from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.dialects import vectors
from api.dialects.json_bodies import decoded
from api.dialects.lines import as_reply, by_body, line_call
from api.dialects.model_choice import model_for
from api.dialects.openai import errors
from api.dialects.openai.description import EMBEDDINGS
from api.dialects.openai.text_inputs import texts_of
from api.dialects.synchronous import Synchronous
from api.edge.express import Direct
from jobs.catalog import ModelCatalog
from jobs.schema import Job, JobRequest, NewJob, validate_request

router = APIRouter(tags=["openai"], route_class=Direct)


class EmbeddingRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    input: msgspec.Raw
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: str | None = None
    """Ignored."""


def read(body: bytes | bytearray, catalog: ModelCatalog) -> tuple[NewJob, None]:
    """The job of a request. Raises InvalidRequest."""
    asked = decoded(body, EmbeddingRequest)
    spec = model_for(catalog, asked.model, "feature-extraction")
    parameters = vectors.pooled(spec, {"encoding": asked.encoding_format or "float"})
    if asked.dimensions is not None:
        parameters |= {"dimensions": asked.dimensions, "normalize": True}
    with errors.renamed(inputs="input"):
        texts = texts_of(asked.input, "input")
        return validate_request(JobRequest(inputs=texts, parameters=parameters), spec), None


def answer(job: Job, outputs: list[msgspec.Raw], context: None) -> bytes:
    """The vectors, in the order of the texts. Raises Refusal if there are several for each text."""
    if vectors.are_of_tokens(outputs[:1]):
        raise vectors.without_pooling(job, "invalid-request", pointer="/model")
    parts: list[bytes | msgspec.Raw] = []
    for index, vector in enumerate(outputs):
        parts += (
            b'%b{"object":"embedding","index":%d,"embedding":' % (b"," * bool(index), index),
            vector,
            b"}",
        )
    usage = b'{"prompt_tokens":%d,"total_tokens":%d}' % ((job.counts.tokens or 0,) * 2)
    model = msgspec.json.encode(job.model)
    return b"".join((b'{"object":"list","data":[', *parts, b'],"model":', model, b',"usage":', usage, b"}"))


CALL = Synchronous(by_body(read), as_reply(answer))
LINE = line_call("/v1/embeddings", read, answer, errors.refused)


@router.post("/v1/embeddings", **EMBEDDINGS)
async def create_embeddings(request: Request) -> Response:
    """Returns a vector for each text, as OpenAI's interface does. The texts of a request are one job.

    The vectors are made as the model's files or its defaults say; without either, by the mean of the tokens.
    `dimensions` is allowed for models that declare it.
    """
    return await CALL.run(request)
