"""A raw body: the bytes of one medium, which are the job's only input. Query parameters say the rest."""

from msgspec.structs import replace
from starlette.requests import Request

from api.edge import bodies
from api.problems.problem import Refusal
from api.v1.submission import acceptance
from api.v1.submission.content import content_type_of
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest, UnknownModel
from jobs.schema import JobRequest, NewJob
from jobs.settings import Settings

FIELDS = acceptance.FIELDS


async def read(request: Request, catalog: ModelCatalog, settings: Settings) -> NewJob:
    """Reads the request's job. Raises as `submission.read_job`."""
    described = _described(request)
    try:
        spec = acceptance.spec_of(described.model, catalog)
    except UnknownModel as error:
        raise UnknownModel(str(error)) from None  # without its pointer, which points into a body
    if not spec.definition.input.is_medium(None):  # before the body is read
        raise InvalidRequest(
            f"model {spec.name} reads inputs of the kind {spec.definition.input.name}, which cannot be sent"
            f" as {content_type_of(request)}; send JSON or a form (multipart/form-data)"
        )
    body = await bodies.read(request, settings.max_request_bytes, bodies.MAX_REQUEST_BYTES)
    if not body:
        raise InvalidRequest("the body is empty")
    try:
        return acceptance.accept(replace(described, inputs=bytes(body)), catalog)
    except InvalidRequest as error:
        raise _at_parameter(error) from None


def _described(request: Request) -> JobRequest:
    given = {}
    for name, value in request.query_params.multi_items():
        if name not in FIELDS:
            continue
        if name in given:
            raise Refusal("invalid-request", f"query parameter {name!r} is given twice", parameter=name)
        given[name] = value
    try:
        return acceptance.described(given)
    except InvalidRequest as error:
        raise _at_parameter(error) from None


def _at_parameter(error: InvalidRequest) -> InvalidRequest | Refusal:
    """The error with the name of the query parameter in place of the pointer, unless it is about the body."""
    name = (error.pointer or "").split("/")[1:2]
    if not name or name == ["inputs"]:
        return error
    return Refusal("invalid-request", f"query parameter {name[0]!r}: {error}", parameter=name[0])
