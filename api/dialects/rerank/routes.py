"""POST /v1/rerank and /v2/rerank. Both accept the members of either version; the answers differ in `meta`."""

from typing import NamedTuple

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.dialects import ranking
from api.dialects.json_bodies import decoded
from api.dialects.lines import as_reply, line_call
from api.dialects.model_choice import model_for
from api.dialects.rerank import errors
from api.dialects.rerank.answers import answer
from api.dialects.rerank.description import CALL
from api.dialects.rerank.requests import RerankRequest
from api.dialects.synchronous import Synchronous
from api.edge.express import Direct
from api.services import Services
from jobs.catalog import ModelCatalog
from jobs.schema import Job, JobRequest, NewJob, validate_request

direct = APIRouter(tags=["rerank"], route_class=Direct)


class Asked(NamedTuple):
    """What the answer depends on."""

    top: int | None
    version: str
    """Of the interface, as in the path."""


def read(body: bytes | bytearray, catalog: ModelCatalog, version: str = "1") -> tuple[NewJob, Asked]:
    """The job of a request: an input for each document."""
    asked = decoded(body, RerankRequest)
    spec = model_for(catalog, asked.model, ranking.TASK)
    inputs = ranking.pairs(asked.query, asked.texts(), spec)
    parameters = ranking.parameters(raw_scores=bool(asked.raw_scores), documents=bool(asked.return_documents))
    job = validate_request(JobRequest(inputs=inputs, model=spec.name, parameters=parameters), spec)
    return job, Asked(asked.top, version)


def present(job: Job, outputs: list[msgspec.Raw], asked: Asked) -> bytes:
    """The documents, best first."""
    ranked = ranking.best_first((msgspec.json.decode(output) for output in outputs), asked.top)
    return msgspec.json.encode(answer(job, ranked, asked.version))


def _read(request: Request, body: bytearray, shared: Services) -> tuple[NewJob, Asked]:
    return read(body, shared.catalog, request.url.path[2:3])


RERANK = Synchronous(_read, as_reply(present), size=ranking.size)
LINE = line_call("/v1/rerank", read, present, errors.refused, size=ranking.size)


@direct.post("/v1/rerank", operation_id="rerank_v1", **CALL)
async def rerank_v1(request: Request) -> Response:
    """Ranks documents by how well they answer a query, best first (Cohere v1, Jina)."""
    return await RERANK.run(request)


@direct.post("/v2/rerank", operation_id="rerank_v2", **CALL)
async def rerank_v2(request: Request) -> Response:
    """Ranks documents by how well they answer a query, best first (Cohere v2)."""
    return await RERANK.run(request)
