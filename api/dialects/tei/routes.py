"""TEI's endpoints: at the root, and below `/tei/{name}` for a model by its name."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.dialects import ranking
from api.dialects.json_bodies import decoded
from api.dialects.synchronous import Synchronous
from api.dialects.tei import answers, description, requests, serving
from api.dialects.tei.description import of_model
from api.dialects.tei.errors import unhealthy
from api.dialects.tei.serving import EMBED, PREDICT, RANK, SIMILARITY, TASKS, info, model_of
from api.edge.express import Direct
from api.edge.json_reply import JsonReply
from api.services import Services, services
from jobs.schema import Job, NewJob

T = TypeVar(
    "T", requests.EmbedRequest, requests.RerankRequest, requests.PredictRequest, requests.SimilarityRequest
)

direct = APIRouter(tags=["tei"], route_class=Direct)
router = APIRouter(tags=["tei"])


def _reads(kind: type[T], *tasks: str) -> Callable[[Request, bytearray, Services], tuple[NewJob, bool]]:
    """Reads a body of that type for a model with one of the tasks, and whether one answer is wanted."""

    def read(request: Request, body: bytearray, shared: Services) -> tuple[NewJob, bool]:
        spec = model_of(request, *tasks)
        asked = decoded(body, kind)
        return asked.job(spec), isinstance(asked, requests.PredictRequest) and asked.single

    return read


def _reply(body: bytes) -> Response:
    return JsonReply(body, 200, {})


def _embedded(job: Job, outputs: list[msgspec.Raw], _: bool) -> Response:
    return _reply(answers.vectors(job, outputs))


def _ranked(job: Job, outputs: list[msgspec.Raw], _: bool) -> Response:
    return _reply(msgspec.json.encode(answers.ranks(outputs)))


def _predicted(job: Job, outputs: list[msgspec.Raw], single: bool) -> Response:
    return _reply(answers.predictions(outputs, single))


def _compared(job: Job, outputs: list[msgspec.Raw], _: bool) -> Response:
    return _reply(answers.similarities(job, outputs))


CALLS = {
    "embed": Synchronous(_reads(requests.EmbedRequest, EMBED), _embedded),
    "rerank": Synchronous(_reads(requests.RerankRequest, RANK), _ranked, size=ranking.size),
    "predict": Synchronous(_reads(requests.PredictRequest, PREDICT), _predicted),
    "similarity": Synchronous(_reads(requests.SimilarityRequest, SIMILARITY, EMBED), _compared),
}


@direct.post("/embed", **description.EMBED)
@direct.post("/tei/{name:path}/embed", **of_model(description.EMBED))
async def embed(request: Request) -> Response:
    """A vector for each text."""
    return await CALLS["embed"].run(request)


@direct.post("/rerank", **description.RERANK)
@direct.post("/tei/{name:path}/rerank", **of_model(description.RERANK))
async def rerank(request: Request) -> Response:
    """Index and score of each text for a query, best first."""
    return await CALLS["rerank"].run(request)


@direct.post("/predict", **description.PREDICT)
@direct.post("/tei/{name:path}/predict", **of_model(description.PREDICT))
async def predict(request: Request) -> Response:
    """All labels of a text or a pair of texts with their scores, best first."""
    return await CALLS["predict"].run(request)


@direct.post("/similarity", **description.SIMILARITY)
@direct.post("/tei/{name:path}/similarity", **of_model(description.SIMILARITY))
async def similarity(request: Request) -> Response:
    """The cosine similarity of each sentence with the source sentence."""
    return await CALLS["similarity"].run(request)


@direct.post("/tei/{name:path}", **of_model(description.ROOT))
async def root(request: Request) -> Response:
    """The call for the model's task, as TEI has it at its root: embed, rerank, predict or similarity."""
    task = model_of(request, *TASKS).task
    return await CALLS[serving.CALLS[task][0]].run(request)


@router.get("/info", **description.INFO)
@router.get("/tei/{name:path}/info", **of_model(description.INFO))
async def read_info(request: Request) -> Response:
    """What the model is, and its limits."""
    shared, spec = services(request), model_of(request, *TASKS)
    beats = [beat for beat in await shared.roster.workers() if beat.model == spec.name]
    return _reply(msgspec.json.encode(info(spec, shared, beats[0] if beats else None)))


@router.get("/health", **description.HEALTH)
@router.get("/tei/{name:path}/health", **of_model(description.HEALTH))
async def health(request: Request) -> Response:
    """Whether a worker serves the model: 200 without a body, else 503."""
    shared, spec = services(request), model_of(request, *TASKS)
    if await shared.roster.serves(spec.name):
        return Response(headers={"cache-control": "no-store"})
    return unhealthy(spec.name)
