"""Parses the requests of `POST /v1/jobs` to valid jobs. Nothing here uses Redis, so a refused request leaves
nothing there.

content      the content type: which of the three kinds of body it is
json_body    JSON; `large_json` decodes large bodies
raw_body     one medium as it is; everything else is in query parameters
form_body    a form (multipart/form-data): `multipart` splits it, `form_inputs` makes inputs of its parts
acceptance   what is the same for all: a decoded request becomes a job
"""

from starlette.requests import Request

from api.v1.submission import acceptance, form_body, json_body, raw_body
from api.v1.submission.content import Content, content_of
from jobs.catalog import ModelCatalog
from jobs.schema import NewJob, check_lifetime
from jobs.settings import Settings

accept = acceptance.accept
QUERY = raw_body.FIELDS
"""The query parameters of a raw body, in addition to those of every body."""


def query_of(content: Content) -> tuple[str, ...]:
    """The query parameters that describe the job, for this kind of body."""
    return QUERY if content == "raw" else ()


async def read_job(request: Request, content: Content, catalog: ModelCatalog, settings: Settings) -> NewJob:
    """Reads the request's job.

    Raises InvalidRequest; Refusal if the body is too large or exceeds the free memory. The body's memory
    stays reserved until `bodies.release`.
    """
    read = {"json": json_body.read, "raw": raw_body.read, "form": form_body.read}[content]
    new = await read(request, catalog, settings)
    check_lifetime(new, settings.longest_result_ttl)
    return new


__all__ = ["QUERY", "Content", "accept", "content_of", "query_of", "read_job"]
