"""Reads forms that may have files: as multipart by a browser, or without files as any other form."""

from typing import NamedTuple

from starlette.requests import Request

from api.edge import bodies
from api.pages import forms
from api.pages.input_fields import Upload, Uploads
from api.v1.submission.content import FORM, content_type_of
from api.v1.submission.multipart import FormReader, Part
from jobs.errors import InvalidRequest


class Sent(NamedTuple):
    """A form's texts, the first of each name, and its files."""

    fields: dict[str, str]
    files: Uploads


async def read(request: Request, max_bytes: int) -> Sent:
    """The form. Raises InvalidRequest, or Refusal if it is too large or exceeds the free memory.

    `max_bytes` is the limit of a request. Texts have the limit of other forms.
    """
    if content_type_of(request) != FORM:
        return Sent(await forms.read(request, max_bytes), {})
    form = FormReader(request.headers["content-type"])
    await bodies.receive(request, max_bytes, form.write, bodies.MAX_REQUEST_BYTES)
    form.end()
    return _sent(form.parts)


def _sent(parts: list[Part]) -> Sent:
    fields: dict[str, str] = {}
    files: dict[str, list[Upload]] = {}
    texts = [part for part in parts if not part.is_file]
    if len(texts) > forms.MAX_FIELDS or sum(len(part.data) for part in texts) > forms.MAX_FORM:
        raise InvalidRequest(
            f"the form has more than {forms.MAX_FIELDS} fields or {forms.MAX_FORM} bytes of texts"
        )
    for part in parts:
        if not part.is_file:
            fields.setdefault(part.name, part.data.decode("utf-8", "replace"))
        elif part.filename or part.data:  # a browser sends an empty part for a field without a file
            files.setdefault(part.name, []).append(Upload(part.filename, part.data))
    return Sent(fields, files)
