"""`/try/example`: the pictures and sounds of a model's example, as files that a shell can fetch.

They are what the form of /try sends if no file is chosen, so its curl line works before anything is chosen.
"""

from typing import Annotated, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.pages import input_fields
from api.pages.input_fields import InputField
from api.problems.problem import Refusal
from api.services import Shared
from api.v1.attachments import HEADERS, OTHER
from jobs.media import encoded
from jobs.media.formats import recognise
from jobs.models import ModelSpec

router = APIRouter(include_in_schema=False)


@router.get("/try/example")
async def example(
    shared: Shared, model: str = "", part: str = "", index: Annotated[int, Query(ge=0)] = 0
) -> Response:
    """A medium of the model's example. `part` is its name in a record, `index` its place in a list."""
    spec = shared.catalog[model or shared.catalog.default.name]
    for field in input_fields.fields(spec):
        if field.part == part and index < len(found := media(field)):
            known = recognise(found[index])
            return Response(found[index], 200, HEADERS, known.content_type if known else OTHER)
    raise Refusal("not-found", f"the example of model {spec.name} has no such medium")


def media(field: InputField) -> list[bytes]:
    """The media of the example for the field, which the models file was checked for."""
    if not field.is_media or field.example is None:
        return []
    given = field.example if isinstance(field.example, list) else [field.example]
    return [encoded.decode(each) for each in given]


class ExampleFile(NamedTuple):
    """A medium of an example: a name for it as a file, and its path on this server."""

    name: str
    path: str


def files(spec: ModelSpec, field: InputField) -> list[ExampleFile]:
    """The media of the example for the field: `example.png`, or if there are several `example-2.png`."""
    found = media(field)
    return [
        ExampleFile(_name(field, data, index + 1 if len(found) > 1 else 0), _path(spec, field, index))
        for index, data in enumerate(found)
    ]


def _name(field: InputField, data: bytes, number: int) -> str:
    known = recognise(data)
    words = ["example", *([field.part] if field.part else ()), *([str(number)] if number else ())]
    return f"{'-'.join(words)}.{known.extension if known else 'bin'}"


def _path(spec: ModelSpec, field: InputField, index: int) -> str:
    asked = {"model": spec.name, "part": field.part, "index": str(index) if index else ""}
    return f"/try/example?{urlencode({key: value for key, value in asked.items() if value})}"
