"""A form: fields about the job, and parts that are its inputs."""

from msgspec.structs import replace
from starlette.requests import Request

from api.edge import bodies
from api.edge.decoding import THREAD_BYTES, in_thread
from api.v1.submission import acceptance, form_inputs
from api.v1.submission.multipart import FormReader, Part
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.schema import NewJob
from jobs.settings import Settings


async def read(request: Request, catalog: ModelCatalog, settings: Settings) -> NewJob:
    """Reads the request's job. Raises as `submission.read_job`."""
    form = FormReader(request.headers["content-type"])
    limit = settings.max_request_bytes
    size = await bodies.receive(request, limit, form.write, bodies.MAX_REQUEST_BYTES)
    form.end()
    if size < THREAD_BYTES:
        return job(form.parts, catalog)
    return await in_thread(job, form.parts, catalog)


def job(parts: list[Part], catalog: ModelCatalog) -> NewJob:
    """The job that a form's parts describe. Raises InvalidRequest."""
    fields: dict[str, str] = {}
    inputs: list[Part] = []
    for part in parts:
        if part.name == form_inputs.NAME or part.name.startswith(form_inputs.PREFIX):
            inputs.append(part)
        elif part.name not in acceptance.FIELDS:
            known = ", ".join((*acceptance.FIELDS, form_inputs.NAME))
            raise InvalidRequest(
                f"the form has a part named {part.name[:60]!r}; there are {known} and, for inputs of several"
                f" values, {form_inputs.PREFIX}NAME"
            )
        elif part.name in fields:
            raise InvalidRequest(f"{part.name}: given twice in the form", pointer=f"/{part.name}")
        else:
            fields[part.name] = form_inputs.text(part, f"/{part.name}")
    if not inputs:
        raise InvalidRequest("inputs: the form has no part named inputs", pointer="/inputs")
    described = acceptance.described(fields)
    spec = acceptance.spec_of(described.model, catalog)
    return acceptance.accept(replace(described, inputs=form_inputs.read(inputs, spec)), catalog)
