"""The request of the form of /try as code: a curl command, the clients of the dialects, and JavaScript."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from api.dialect import File, Sample, SampleRequest
from api.pages import curl_lines, input_fields, try_curl, try_form
from api.pages.example_media import files as example_files
from api.pages.input_fields import InputField, Uploads
from api.services import Services, services
from api.v1.models import defaults_of
from jobs.catalog import ModelCatalog
from jobs.errors import QueueUnavailable
from jobs.models import ModelSpec

CURL = "curl"


async def samples(
    request: Request, form: Mapping[str, str], catalog: ModelCatalog, files: Uploads
) -> list[Sample]:
    """The code for each client, curl first. Empty if the form is not valid, or too long to be shown."""
    command = try_curl.line(request, form, catalog, files)
    if command is None:
        return []
    asked = try_form.body(form, catalog, files)
    spec = catalog[asked["model"]]
    defaults = await _defaults(spec, services(request))
    parameters = {
        name: value
        for name, value in asked.get("parameters", {}).items()
        if name not in defaults or defaults[name] != value
    }
    given = SampleRequest(
        spec,
        _with_names(spec, asked["inputs"], files),
        parameters,
        str(request.base_url).rstrip("/"),
        services(request).settings.auth == "keys",
    )
    found = [Sample(CURL, command), *services(request).dialects.samples(given)]
    if not spec.definition.input.has_media:
        found.append(Sample("JavaScript", _javascript(given, asked)))
    return [each for each in found if len(each.code) <= 2 * curl_lines.MAX_BODY]


async def _defaults(spec: ModelSpec, shared: Services) -> dict[str, Any]:
    """The parameters of a job that sets none, as far as they are known."""
    try:
        workers = await shared.roster.workers()
    except QueueUnavailable:
        workers = []
    return defaults_of(spec, [beat for beat in workers if beat.model == spec.name])


def chosen(form: Mapping[str, str], found: list[Sample]) -> str:
    """The client whose code is shown: the one that was chosen, or else the first."""
    clients = [each.client for each in found]
    asked = form.get("client", "")
    return asked if asked in clients else next(iter(clients), CURL)


def _with_names(spec: ModelSpec, inputs: Any, files: Uploads) -> Any:
    """The inputs with the names of files in place of media."""
    found = inputs
    for field in input_fields.fields(spec):
        if field.is_media and (names := _names(spec, field, files)):
            value = names if field.is_list or len(names) > 1 else names[0]
            found = value if not field.part else {**found, field.part: value}
    return found


def _names(spec: ModelSpec, field: InputField, files: Uploads) -> list[File]:
    chosen_files = [File(upload.filename) for upload in files.get(field.name, ())]
    return chosen_files or [File(each.name) for each in example_files(spec, field)]


def _javascript(request: SampleRequest, asked: Mapping[str, Any]) -> str:
    """A module for Node or, without an API key, for a page of this server."""
    headers = '"Content-Type": "application/json", Prefer: "wait=10"'
    if request.has_keys:
        headers += ", Authorization: `Bearer ${process.env.KEY}`"
    body = msgspec.json.format(msgspec.json.encode(asked), indent=2).decode().replace("\n", "\n  ")
    return "\n".join(
        [
            f"const answer = await fetch({_quoted(request.url + '/v1/jobs')}, {{",
            '  method: "POST",',
            f"  headers: {{ {headers} }},",
            f"  body: JSON.stringify({body}),",
            "});",
            "const job = await answer.json();",
            "console.log(job.status, job.results);",
        ]
    )


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
